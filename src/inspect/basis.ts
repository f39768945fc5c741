/**
 * How a statement about packets and SAs is known. Whatever esplane says of a capture is one of these, and says which.
 * @module
 */

/**
 * `seen`: the packets of the capture show it. `told`: the kernel's own text or counters say it, those of the node that it
 * is about. `assumed`: it follows from keys and nodes, a table of SAs, the capture's own secrets or the other end's text,
 * and holds if that node has what they say.
 */
export type Basis = 'seen' | 'told' | 'assumed';
