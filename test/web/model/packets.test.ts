/**
 * The packets that the page shows, which are taken out of `pcaps/` when it is built.
 */
import { describe, expect, it } from 'vitest';
import { untiled, walkFields } from '../../../src/inspect/explain/tree.ts';
import { placeAt, placesOf } from '../../../src/web/model/places.ts';
import { explainPacket, PACKETS } from '../../../src/web/packets/packets.ts';

describe.each(PACKETS.map((packet) => [packet.id, packet] as const))('%s', (_, packet) => {
  const explanation = explainPacket(packet);
  const places = placesOf(explanation.packet);

  it('is opened, with its window where the frames before have left it', () => {
    const esp = explanation.packet.layers.find(({ id }) => id === 'esp')!;
    expect(esp.security).toMatchObject({ verdict: 'ok', icvOk: true });
    expect(explanation.stops).toEqual([]);
    const { window } = esp.security!;
    if (window!.size > 0) expect(window!.before.seen).not.toEqual([]);
  });

  it('has every byte explained once', () => {
    expect(untiled(explanation.packet)).toBeUndefined();
  });

  it('has a text for every field', () => {
    for (const { field } of walkFields(explanation.packet)) {
      expect(field.label, field.id).not.toBe('');
      expect(field.meaning, field.id).toMatch(/^[A-Z].*[.?!]$/);
      // What an application sends no RFC explains.
      if (field.id !== 'data') expect(field.reference, field.id).toMatch(/^(RFC \d+|IEEE |Cilium|Linux)/);
    }
  });

  it('has a field for every byte, also for those inside ESP', () => {
    for (let at = 0; at < packet.shown.bytes.length; at++)
      expect(placeAt(places, at), `byte ${at}`).toBeDefined();
    expect(places.some(({ isInner }) => isInner)).toBe(true);
    expect(new Set(places.map(({ name }) => name)).size).toBe(places.length);
  });
});
