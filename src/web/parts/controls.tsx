/**
 * What the reader sets, each bound to a parameter of the address: one of several, on or off, a number.
 *
 * A parameter that is left out, or has an unknown value, counts as the first choice, off, or the least number. That
 * value is not written, so that one place has one address.
 * @module
 */
import { useId } from 'preact/hooks';
import type { ChapterProps } from '../chapter.ts';

interface ControlProps extends ChapterProps {
  /** Name of the parameter. */
  readonly name: string;
  readonly label: string;
}

/** What can be chosen. */
export interface Option {
  readonly value: string;
  readonly label: string;
}

/** The option that the address names; the first when it names none. */
export function chosen<O extends Option>(
  { params }: ChapterProps['route'],
  name: string,
  options: readonly O[],
): O {
  return options.find(({ value }) => value === params[name]) ?? options[0]!;
}

/** Is it on by the address? */
export function isOn({ params }: ChapterProps['route'], name: string): boolean {
  return params[name] === '1';
}

/** The whole number that the address names, kept between `min` and `max`; `min`, or `otherwise`, when it names none. */
export function numberOf(
  { params }: ChapterProps['route'],
  name: string,
  { min, max, otherwise = min }: { readonly min: number; readonly max: number; readonly otherwise?: number },
): number {
  const text = params[name];
  return text !== undefined && /^\d+$/.test(text) ? Math.max(min, Math.min(max, Number(text))) : otherwise;
}

/** One of several. */
export function Choice(props: ControlProps & { readonly options: readonly Option[] }) {
  const { route, go, name, label, options } = props;
  const now = chosen(route, name, options);
  const group = useId();
  return (
    <fieldset class="choice">
      <legend>{label}</legend>
      {options.map((option, i) => (
        <label key={option.value}>
          <input
            type="radio"
            name={group}
            value={option.value}
            checked={option === now}
            onChange={() => go({ params: { [name]: i === 0 ? undefined : option.value } })}
          />
          <span>{option.label}</span>
        </label>
      ))}
    </fieldset>
  );
}

/** On or off. */
export function Toggle({ route, go, name, label }: ControlProps) {
  return (
    <label class="toggle">
      <input
        type="checkbox"
        checked={isOn(route, name)}
        onChange={(event) => go({ params: { [name]: event.currentTarget.checked ? '1' : undefined } })}
      />
      <span>{label}</span>
    </label>
  );
}

interface SliderProps extends ControlProps {
  readonly min: number;
  readonly max: number;
  readonly step?: number;
  /** Counts when the address names none; `min` when left out. */
  readonly otherwise?: number;
  /** The number in words, such as `1,423 bytes`. */
  readonly show?: (value: number) => string;
}

/** A whole number, dragged or walked to with the arrow keys. On its way it replaces the address. */
export function Slider(props: SliderProps) {
  const { route, go, name, label, min, max, step = 1, otherwise = min, show = String } = props;
  const value = numberOf(route, name, { min, max, otherwise });
  const id = useId();
  return (
    <div class="slider">
      <span>
        <label for={id}>{label}</label> <output for={id}>{show(value)}</output>
      </span>
      <input
        id={id}
        type="range"
        min={min}
        max={max}
        step={step}
        value={value}
        aria-valuetext={show(value)}
        onInput={(event) => {
          const now = event.currentTarget.valueAsNumber;
          go({ params: { [name]: now === otherwise ? undefined : String(now) } }, { replace: true });
        }}
      />
    </div>
  );
}

interface TextFieldProps extends ControlProps {
  readonly value: string;
  /** Counts when the address names none, and is not written there. */
  readonly otherwise: string;
  readonly maxLength?: number;
}

/** A line of text. While it is typed it replaces the address. */
export function TextField({ name, label, value, otherwise, maxLength, go }: TextFieldProps) {
  return (
    <label class="wide">
      {label}
      <input
        type="text"
        maxLength={maxLength}
        value={value}
        spellcheck={false}
        autocomplete="off"
        onInput={(event) => {
          const text = event.currentTarget.value;
          go({ params: { [name]: text === otherwise ? undefined : text } }, { replace: true });
        }}
      />
    </label>
  );
}
