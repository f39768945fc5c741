/**
 * The packets of the page.
 * @module
 */
/// <reference path="./embedded.d.ts" />
import { EMBEDDED } from 'virtual:esplane-packets';
import { type PagePacket, pagePacket } from './page-packet.ts';
import { SELECTION } from './selection.ts';

/** All packets, in the order of the selection. */
export const PACKETS: readonly PagePacket[] = SELECTION.map((choice) =>
  pagePacket(choice, EMBEDDED[choice.id]!),
);

/** The packet with this id. */
export function packetOf(id: string): PagePacket | undefined {
  return PACKETS.find((packet) => packet.id === id);
}
