import { describe, expect, it } from 'vitest';
import { imageVersion } from '../../src/cilium/image.ts';

describe('imageVersion', () => {
  it.each([
    ['image: quay.io/cilium/cilium:v1.18.2@sha256:00ff', 'v1.18.2'],
    ['"image": "quay.io/cilium/cilium:v1.17.0-rc.1"', 'v1.17.0-rc.1'],
    ['image: registry.example.com:5000/mirror/quay.io/isovalent/cilium:v1.16.3-cee.1', 'v1.16.3-cee.1'],
    ['image: quay.io/cilium/cilium-envoy:v1.34.4\nimage: "quay.io/cilium/cilium:1.15.3"', '1.15.3'],
    ['image: quay.io/cilium/cilium-envoy:v1.34.4', undefined],
    ['image: quay.io/cilium/cilium-ci:latest', undefined],
    ['', undefined],
  ])('%s: %s', (text, version) => expect(imageVersion(text)).toBe(version));
});
