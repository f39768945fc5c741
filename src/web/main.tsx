/**
 * Starts the lab.
 * @module
 */
import './style.css';
import { render } from 'preact';
import { App } from './app.tsx';

const root = document.getElementById('app')!;
root.textContent = '';
render(<App />, root);
