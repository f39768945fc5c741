/**
 * The public API of esplane.
 * @module
 */
export { EsplaneError, InputError, WireError } from './base/errors.ts';
