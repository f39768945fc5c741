/**
 * Sends a file over TCP, or receives one and says what came: `receive ADDRESS`, `send FROM TO FILE`.
 * @module
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { connect, createServer } from 'node:net';

const PORT = 5202;
const [, , role, ...args] = process.argv;

if (role === 'receive') {
  const server = createServer((socket) => {
    const hash = createHash('sha256');
    let bytes = 0;
    socket.on('data', (chunk) => {
      hash.update(chunk);
      bytes += chunk.length;
    });
    socket.on('end', () => {
      console.log(JSON.stringify({ bytes, sha256: hash.digest('hex') }));
      server.close();
      socket.end();
    });
  });
  server.listen(PORT, args[0], () => console.log('ready'));
} else {
  const [from, to, file] = args;
  const socket = connect({ host: to, port: PORT, localAddress: from });
  createReadStream(file).pipe(socket);
  socket.on('end', () => socket.destroy());
}
