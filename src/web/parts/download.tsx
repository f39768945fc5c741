/**
 * A button that saves bytes which the page has made.
 * @module
 */
interface DownloadProps {
  readonly label: string;
  /** Name of the file. */
  readonly name: string;
  /** MIME type. */
  readonly type?: string;
  /** Makes the bytes when they are asked for. */
  readonly make: () => Uint8Array;
}

export function Download({ label, name, type = 'application/octet-stream', make }: DownloadProps) {
  const save = () => saveBlob(new Blob([make() as Uint8Array<ArrayBuffer>], { type }), name);
  return (
    <button type="button" onClick={save}>
      {label}
    </button>
  );
}

/** Has the browser save a file. */
export function saveBlob(blob: Blob, name: string): void {
  const url = URL.createObjectURL(blob);
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser holds on to the bytes by itself once it has begun to save them.
  requestAnimationFrame(() => URL.revokeObjectURL(url));
}
