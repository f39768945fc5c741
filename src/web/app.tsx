/**
 * The frame around the chapters: header, list, the chapter at hand, and where the focus goes when it changes.
 * @module
 */
import { useCallback, useEffect, useRef } from 'preact/hooks';
import type { Go } from './chapter.ts';
import { CHAPTERS } from './chapters/index.ts';
import { changed, formatRoute, type Route } from './route.ts';
import { ThemeSwitch } from './theme.tsx';
import { goTo, useRoute } from './use-route.ts';

const FRONT: Route = { chapter: '', path: [], params: {} };

export function App() {
  const route = useRoute();
  const chapter = CHAPTERS.find(({ id }) => id === route.chapter);
  const main = useRef<HTMLElement>(null);
  const before = useRef(route.chapter);

  // A new chapter is a new page: who reads with a screen reader hears its heading.
  useEffect(() => {
    document.title = chapter ? `${chapter.title} · esplane lab` : 'esplane lab';
    if (before.current === route.chapter) return;
    before.current = route.chapter;
    scrollTo(0, 0);
    main.current?.querySelector<HTMLElement>('h1')?.focus();
  }, [route.chapter, chapter]);

  const go: Go = useCallback(
    (change, { replace = false } = {}) => goTo(changed(route, change), replace),
    [route],
  );

  return (
    <>
      <a
        class="skip"
        href="#main"
        onClick={(event) => {
          // The hash is the address of the chapter, so it cannot name an element too.
          event.preventDefault();
          main.current?.focus();
        }}
      >
        Skip to the chapter
      </a>
      <header class="top">
        <a class="brand" href={formatRoute(FRONT)}>
          esplane <span>lab</span>
        </a>
        <ThemeSwitch />
      </header>
      <nav class="chapters" aria-label="Chapters">
        <ol>
          {CHAPTERS.map(({ id, title }) => (
            <li key={id}>
              <a
                href={formatRoute({ ...FRONT, chapter: id })}
                aria-current={id === route.chapter ? 'page' : undefined}
              >
                {title}
              </a>
            </li>
          ))}
        </ol>
      </nav>
      <main ref={main} id="main" tabIndex={-1}>
        {chapter ? (
          <chapter.View key={chapter.id} route={route} go={go} />
        ) : (
          <FrontPage unknown={route.chapter} />
        )}
      </main>
      <footer>
        Everything on this page is computed on this page, by the code that <code>esplane</code> runs. It sends
        nothing, and stores nothing.
      </footer>
    </>
  );
}

/** What the lab is; for an address that leads nowhere, this first. */
function FrontPage({ unknown }: { readonly unknown: string }) {
  return (
    <>
      <h1 tabIndex={-1}>ESP, to be seen, touched and broken</h1>
      {unknown !== '' && (
        <p class="notice" role="alert">
          There is no chapter <code>{unknown}</code>. These are all there are:
        </p>
      )}
      <p>
        ESP is what IPsec does to a packet: it hides it, and makes every change show. Here it is done before
        your eyes, on real packets of a Linux kernel whose keys are known, by esplane's own code.
      </p>
      <ol class="contents">
        {CHAPTERS.map(({ id, title, summary }) => (
          <li key={id}>
            <a href={formatRoute({ ...FRONT, chapter: id })}>{title}</a>
            <p>{summary}</p>
          </li>
        ))}
      </ol>
    </>
  );
}
