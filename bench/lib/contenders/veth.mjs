/**
 * The bare veth pair: the yardstick.
 * @module
 */

export const clearVeth = {
  name: 'clear veth',
  wire: 'host 192.168.9.1 and host 192.168.9.2',
  readable: true,
  start: async ({ outer: [a, b] }) => ({ from: a, to: b }),
};
