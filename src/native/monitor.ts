/**
 * What `native/src/monitor.cc` exports: a packet socket that only listens.
 * @module
 */
export interface MonitorFunctions {
  /**
   * @param device a name, or `any`
   * @param filter a classic BPF program, 8 bytes an instruction; empty lets everything pass
   * @param type 4 bytes, gets the `LINKTYPE_` number of the frames as a 32-bit word
   * @returns a descriptor, or `-errno`
   */
  monitorOpen(device: string, promiscuous: number, filter: Uint8Array, type: Uint8Array): number;
  /** Fills `buffer` with whole records of a pcap file, host byte order, nanoseconds. @returns bytes, or `-errno` */
  monitorRead(fd: number, type: number, buffer: Uint8Array): number;
  /** 1 when the interface is no more. */
  monitorGone(fd: number): number;
  /** Frames that found the buffer full since the last call. */
  monitorDropped(fd: number): number;
}
