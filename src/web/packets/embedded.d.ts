/** What `scripts/web-packets.ts` makes of `selection.ts` when the page is built, or a test runs. */
declare module 'virtual:esplane-packets' {
  /** By the id of the choice. */
  export const EMBEDDED: Readonly<Record<string, import('./page-packet.ts').Embedded>>;
}
