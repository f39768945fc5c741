/**
 * Light or dark: as the system has it, until the reader says otherwise. The choice lasts as long as the page; nothing
 * is stored.
 * @module
 */
import { useState } from 'preact/hooks';

export function ThemeSwitch() {
  const [isDark, setDark] = useState(() => matchMedia('(prefers-color-scheme: dark)').matches);
  return (
    <button
      type="button"
      class="theme"
      onClick={() => {
        document.documentElement.dataset['theme'] = isDark ? 'light' : 'dark';
        setDark(!isDark);
      }}
    >
      {isDark ? 'Light' : 'Dark'}
    </button>
  );
}
