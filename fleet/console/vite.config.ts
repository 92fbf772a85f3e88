import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig, loadEnv, type Plugin } from 'vite';

/** Every browser that runs MapLibre 6 reads woff2; without this the bundle carries each font twice. */
function woff2Only(): Plugin {
  return {
    name: 'woff2-only',
    enforce: 'pre',
    transform(code, id) {
      if (!id.includes('@fontsource') || !id.endsWith('.css')) return null;
      return code.replace(/,\s*url\([^)]*\.woff\)\s*format\('woff'\)/g, '');
    },
  };
}

export default defineConfig(({ mode }) => ({
  plugins: [woff2Only(), svelte()],
  // The service serves the console at its root; relative addresses also work behind a path prefix.
  base: './',
  build: {
    target: 'es2022',
    // Slices of fonts are fetched when a character needs them; inlined, all would be fetched always.
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1400,
  },
  server: {
    host: '127.0.0.1',
    proxy: {
      '/api': { target: loadEnv(mode, '.', 'TODOKE_').TODOKE_URL ?? 'http://127.0.0.1:8080', ws: true },
    },
  },
}));
