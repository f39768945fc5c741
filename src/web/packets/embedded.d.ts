/** What `scripts/web-packets.ts` makes of `selection.ts` when the page is built, or a test runs. */
declare module 'virtual:esplane-packets' {
  /** A frame as it is embedded. */
  export interface EmbeddedFrame {
    /** 1-based number in its capture. */
    readonly number: number;
    readonly seconds: number;
    readonly nanoseconds: number;
    readonly hex: string;
  }
  /** By the id of the choice. */
  export const EMBEDDED: Readonly<
    Record<
      string,
      {
        /** `LINKTYPE_` number. */
        readonly linkType: number;
        readonly frame: EmbeddedFrame;
        readonly before: readonly EmbeddedFrame[];
        /** The keys file's text. */
        readonly keys: string;
        /** The node list's text. */
        readonly nodes: string;
      }
    >
  >;
}
