import { describe, expect, it } from 'vitest';
import { reverse, tcpPacket, text } from '../../../src/sim/traffic.ts';
import * as tcp from '../../../src/wire/tcp.ts';
import { codesOf, diagnoseFile, diagnosePackets, sender } from '../../support/diagnose.ts';
import { CASES, CASES_NEED, needs } from '../../support/needs.ts';
import { address, ipv4Packet, saConfig } from '../../support/sa.ts';

const there = saConfig();
const back = saConfig({ src: there.dst, dst: there.src });
/** From the server, whose answer is long, to the client. */
const flow = { src: address('10.0.1.10'), dst: address('10.0.2.10'), srcPort: 80, dstPort: 10_000 };
const MSS = 1383;
const LAST = 851;

const diagnose = (frames: readonly Uint8Array[], seconds?: number) =>
  diagnosePackets(frames, { listed: [there, back] }, seconds === undefined ? {} : { seconds });

/** The two ends' packets, in ESP. */
function ends() {
  const [serve, ask] = [sender(there, 0, { ivSalt: new Uint8Array(8) }), sender(back)];
  const segment = (seq: number, len: number) =>
    serve(tcpPacket(flow, { seq, ack: 1, flags: tcp.ACK | tcp.PSH, data: text(len) }));
  return {
    serve,
    open: () => serve(tcpPacket(flow, { seq: 0, ack: 1, flags: tcp.SYN | tcp.ACK })),
    /** Three segments of full size, and a short one. */
    answer: () => [...[0, 1, 2].map((i) => segment(1 + i * MSS, MSS)), segment(1 + 3 * MSS, LAST)],
    acknowledge: (ack: number) => ask(tcpPacket(reverse(flow), { seq: 1, ack, flags: tcp.ACK })),
  };
}

describe('behind a hole for long packets', () => {
  it('TCP goes on waiting for what is before a short segment that comes again and again', () => {
    const { open, answer, acknowledge } = ends();
    const frames = [open()];
    for (let round = 0; round < 4; round++) frames.push(answer()[3]!, acknowledge(1));
    const { findings, streams } = diagnose(frames, 0.1);
    expect(codesOf(findings)).toEqual(['missing-numbers', 'mtu-hole']);
    expect(findings[0]).toMatchObject({ code: 'mtu-hole', severity: 'error', frames: [8] });
    expect(findings[0]!.summary).toMatch(
      /waits for 4,149 bytes .* 12 numbers of this stream never came by, .* longer than 9\d\d bytes/,
    );
    expect(streams[0]).toMatchObject({ missing: 12, packets: 5 });
  });

  it('or that comes once, as Linux sends it, while numbers go missing for seconds', () => {
    const { open, answer, acknowledge, serve } = ends();
    const frames = [open(), answer()[3]!, acknowledge(1)];
    for (let n = 0; n < 4; n++) {
      serve(tcpPacket(flow, { seq: 1, ack: 1, flags: tcp.ACK, data: text(MSS) }));
      frames.push(serve(ipv4Packet(80)));
    }
    expect(codesOf(diagnose(frames).findings)).toEqual(['missing-numbers', 'mtu-hole']);
    // Not where all of that is over in a moment.
    expect(codesOf(diagnose(frames, 0.1).findings)).toEqual(['missing-numbers']);
  });

  it('is no hole once the bytes come', () => {
    const { open, answer, acknowledge } = ends();
    const frames = [open()];
    for (let round = 0; round < 4; round++) frames.push(answer()[3]!, acknowledge(1));
    frames.push(...answer(), acknowledge(1 + 3 * MSS + LAST));
    expect(codesOf(diagnose(frames, 0.1).findings)).toEqual(['missing-numbers']);
  });

  it('nor where what is missing is no longer than what comes', () => {
    const { open, acknowledge, serve } = ends();
    const short = (seq: number) =>
      serve(tcpPacket(flow, { seq, ack: 1, flags: tcp.ACK | tcp.PSH, data: text(LAST) }));
    const frames = [open()];
    for (let round = 0; round < 4; round++) {
      short(1);
      frames.push(short(1 + LAST), acknowledge(1));
    }
    expect(codesOf(diagnose(frames, 0.1).findings)).toEqual(['missing-numbers']);
  });
});

describe('before a hole for long packets', () => {
  it('long segments are sent again and again, and short ones are answered', () => {
    const { open, answer, acknowledge, serve } = ends();
    const short = tcpPacket(flow, { seq: 1, ack: 1, flags: tcp.ACK | tcp.PSH, data: text(40) });
    const frames = [open(), serve(short), acknowledge(41)];
    for (let round = 0; round < 3; round++) frames.push(...answer());
    const { findings } = diagnose(frames, 0.1);
    expect(codesOf(findings)).toEqual(['mtu-hole']);
    expect(findings[0]!.summary).toMatch(/in ESP packets of up to 1\d\d bytes are answered; 3 longer ones/);
  });
});

needs([CASES_NEED], 'people', () => {
  it('case captures 12: a receiver that has no ESP, and says so', async () => {
    const folder = `${CASES}captures/12-icmp-protocol-unreachable`;
    const { findings } = await diagnoseFile(`${folder}/in.pcap`, { espSa: [`${folder}/esp_sa`] });
    expect(findings).toMatchObject([
      {
        code: 'esp-unreachable',
        basis: 'seen',
        node: '10.0.0.2',
        src: '10.0.0.1',
        spi: 10,
        count: 4,
        frames: [2, 4, 6, 8],
      },
    ]);
    expect(findings[0]!.summary).toBe(
      '10.0.0.2 answers 4 ESP packets of 10.0.0.1 to 10.0.0.2 (SPI 0xa) with ICMP type 3 code 2, protocol unreachable: it has no ESP.',
    );
  });
});
