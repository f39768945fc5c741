/**
 * What `native/src/cipher.cc` exports: cipher engines that work on a whole job table in one call.
 * @module
 */
/** An engine and its keys, in the addon. */
export interface CipherHandle {
  readonly cipher: unique symbol;
}

export interface CipherFunctions {
  /** @param ipsecMb 1 for Intel ipsec-mb; `undefined` is returned where it cannot be had */
  cipherOpen(ipsecMb: number): CipherHandle | undefined;
  /** Wipes all keys; no row is served any more. */
  cipherClose(engine: CipherHandle): number;
  /**
   * @param cipherName OpenSSL's or libgcrypt's; empty for none
   * @param hashName OpenSSL's, of an HMAC
   * @param block what a text is a multiple of, in bytes; 1 where it may have any length
   * @returns a handle, or `-ENOTSUP`
   */
  cipherAddKey(
    engine: CipherHandle,
    cipher: number,
    cipherName: string,
    mac: number,
    hashName: string,
    key: Uint8Array,
    macKey: Uint8Array,
    ivLen: number,
    icvLen: number,
    block: number,
  ): number;
  cipherRemoveKey(engine: CipherHandle, key: number): number;
  /** @param tables `JobTable.tables` of `crypto/engine.ts` */
  cipherSeal(engine: CipherHandle, slab: Uint8Array, tables: Uint8Array, count: number): number;
  cipherOpenRows(engine: CipherHandle, slab: Uint8Array, tables: Uint8Array, count: number): number;
  /** The bare cipher, for the benchmark. @returns nanoseconds, or `-EINVAL` */
  cipherLoop(
    engine: CipherHandle,
    keys: Uint8Array,
    slab: Uint8Array,
    at: number,
    len: number,
    step: number,
    count: number,
    rounds: number,
    sealing: number,
  ): number;
  /** The code path that ipsec-mb chose for this CPU: `SSE`, `AVX`, `AVX2`, `AVX512`; empty for OpenSSL. */
  cipherPath(engine: CipherHandle): string;
  /** Empty where ipsec-mb was not built in. */
  ipsecMbVersion(): string;
  /** Empty where libgcrypt was not built in. */
  gcryptVersion(): string;
}
