/**
 * A choice among prepared scenes; "your own" while what is shown is none of them.
 * @module
 */
interface Scene {
  readonly id: string;
  readonly title: string;
}

interface SceneChoiceProps<S extends Scene> {
  readonly scenes: readonly S[];
  readonly current: S | undefined;
  readonly onChoose: (scene: S) => void;
}

export function SceneChoice<S extends Scene>({ scenes, current, onChoose }: SceneChoiceProps<S>) {
  return (
    <label>
      Scene{' '}
      <select
        value={current?.id ?? ''}
        onChange={({ currentTarget: { value } }) => {
          const chosen = scenes.find(({ id }) => id === value);
          if (chosen) onChoose(chosen);
        }}
      >
        {!current && <option value="">your own</option>}
        {scenes.map(({ id, title }) => (
          <option key={id} value={id}>
            {title}
          </option>
        ))}
      </select>
    </label>
  );
}
