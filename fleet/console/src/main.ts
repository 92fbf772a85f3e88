import '@fontsource/noto-sans-jp/400.css';
import '@fontsource/noto-sans-jp/700.css';
import { mount } from 'svelte';
import './app.css';
import App from './App.svelte';
import { i18n } from './lib/i18n.svelte';

const target = document.getElementById('app');
if (!target) throw new Error('index.html has no #app');
i18n.apply();
mount(App, { target });
