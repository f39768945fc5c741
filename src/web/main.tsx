/**
 * Starts the lab; or, where this script runs as the lab's worker, the worker.
 * @module
 */
import './style.css';
import { render } from 'preact';
import { App } from './app.tsx';
import { isWorker, work } from './chapters/own/worker.ts';

if (isWorker()) work();
else {
  const root = document.getElementById('app')!;
  root.textContent = '';
  render(<App />, root);
}
