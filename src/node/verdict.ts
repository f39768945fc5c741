/**
 * What a node adds to the verdicts of a packet.
 * @module
 */

/**
 * Verdict of a packet that went another way than the rest of its batch: to a pod, or to wait for its other
 * fragments. It was not dropped, but the stages that follow leave it alone. No row of the drop table has this code.
 */
export const TAKEN = 0xff;
