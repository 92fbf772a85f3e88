/** The one place that touches MapLibre: makes the map and feeds its sources. */

import { GeoJSONSource, Map as MapLibreMap, ScaleControl, setWorkerUrl } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import type { FeatureCollection } from 'geojson';
import 'maplibre-gl/dist/maplibre-gl.css';
import { nameOf, t } from '../i18n.svelte';
import type { Bounds, Region } from '../types';
import { around, grid, land, lanes, obstacles, outside, sites, ways, workArea, zones } from './features';
import { ABOVE_TERRAIN, emptyStyle, FONT, type SourceName } from './style';
import { addSymbols } from './symbols';

setWorkerUrl(workerUrl);

const GRID_M = 1000;
/** Room for the buttons on the right and the scale at the bottom. */
const PADDING = { top: 20, right: 58, bottom: 34, left: 20 } as const;
const corners = ({ south, west, north, east }: Bounds): [[number, number], [number, number]] => [[west, south], [east, north]];
/** The picture is renewed no more often than snapshots come, whatever changes: drawing costs battery. */
const RENEW_MS = 200;
const SEEN_WITHIN_MS = 5000;
/** How far beyond the region one may look, in its longer side. */
const MARGIN = 0.5;

/** What lies where the map was clicked, beside vehicles. */
export interface Ground {
  zones: string[];
  lanes: string[];
  sites: string[];
  at: { lat: number; lon: number };
}

/** A map of one region in `container`; a click tells of the vehicle there, or of none and the ground. */
export class RegionCanvas {
  readonly #map: MapLibreMap;
  readonly #region: Region;
  /** What the whole region is when it is shown, and what is drawn at all. */
  readonly #bounds: Bounds;
  readonly #mapped: Bounds;
  /** Nobody has moved the map yet: it goes on showing the whole region whatever its size. */
  #untouched = true;
  #active: ReadonlySet<string> = new Set();
  #ready = false;
  #removed = false;
  #resting = false;
  #waiting = new Map<SourceName, FeatureCollection>();
  #timer = 0;

  /** Throws when the device has no WebGL 2. */
  constructor(container: HTMLElement, region: Region, onClick: (vehicleId: string | null, ground: Ground) => void) {
    this.#region = region;
    this.#bounds = workArea(region);
    this.#mapped = region.hillshade?.bounds ?? around(region.bounds, this.#bounds);
    this.#map = new MapLibreMap({
      container,
      style: emptyStyle(),
      bounds: corners(this.#bounds),
      fitBoundsOptions: { padding: PADDING },
      maxBounds: reach(this.#mapped),
      maxZoom: 19,
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      renderWorldCopies: false,
      fadeDuration: 0,
      locale: { 'Map.Title': t('map') },
    });
    this.#map.touchZoomRotate.disableRotation();
    this.#map.keyboard.disableRotation();
    this.#map.addControl(new ScaleControl({ maxWidth: 110 }), 'bottom-right');
    this.#map.on('load', () => this.#loaded());
    this.#map.on('error', ({ error }) => console.warn('map:', error.message));
    // Only people's movements have an event of the browser behind them.
    this.#map.on('movestart', (event) => (this.#untouched &&= !('originalEvent' in event && event.originalEvent)));
    this.#map.on('resize', () => this.#untouched && this.#fit(0));
    this.#map.on('click', (event) => {
      const [hit] = this.#map.queryRenderedFeatures(event.point, { layers: ['vehicle', 'vehicle-name'] });
      const vehicleId: unknown = hit?.properties.id;
      onClick(typeof vehicleId === 'string' ? vehicleId : null, {
        zones: this.#idsAt(event.point, 'zone-tint'), lanes: this.#idsAt(event.point, 'lane'),
        sites: this.#idsAt(event.point, 'site', 'hub'), at: { lat: event.lngLat.lat, lon: event.lngLat.lng },
      });
    });
    for (const type of ['mouseenter', 'mouseleave'] as const) {
      this.#map.on(type, 'vehicle', () => {
        this.#map.getCanvas().style.cursor = type === 'mouseenter' ? 'pointer' : '';
      });
    }
  }

  /** Shows data in a source soon: what comes in between is skipped, the newest is shown. */
  show(source: SourceName, data: FeatureCollection): void {
    if (this.#removed) return;
    this.#waiting.set(source, data);
    if (this.#ready && !this.#resting && this.#timer === 0) this.#timer = window.setTimeout(() => this.#renew(), RENEW_MS);
  }

  /** Draws nothing new while nobody can see it. */
  rest(resting: boolean): void {
    this.#resting = resting;
    if (!resting && this.#ready && this.#timer === 0) this.#renew();
  }

  /** Names sites and zones in the language chosen; resolves when that can be seen. */
  async label(): Promise<void> {
    const { sites: places, zones: areas, obstacles: tall = [] } = this.#region;
    const names = [...[...places, ...areas].map(nameOf), ...tall.map((one) => one.name_ja ?? one.name_en)].join('');
    try {
      // Glyphs are drawn once and kept: the slices of the font that hold them must be there before.
      await document.fonts.load(`400 24px "${FONT}"`, names);
    } catch {
      // The browser's own font then draws them.
    }
    const seen = this.#resting ? Promise.resolve() : this.#seen('sites');
    this.show('zones', zones(this.#region));
    this.show('obstacles', obstacles(this.#region));
    this.show('sites', sites(this.#region, this.#active));
    await seen;
  }

  /** Names the sites where deliveries are on their way to, even where not all can be named. */
  activate(siteIds: ReadonlySet<string>): void {
    if (siteIds.size === this.#active.size && [...siteIds].every((siteId) => this.#active.has(siteId))) return;
    this.#active = siteIds;
    this.show('sites', sites(this.#region, siteIds));
  }

  flyTo(lon: number, lat: number): void {
    this.#untouched = false;
    this.#map.easeTo({ center: [lon, lat], zoom: Math.max(this.#map.getZoom(), 15), duration: 600 });
  }

  zoom(steps: 1 | -1): void {
    this.#untouched = false;
    this.#map.zoomTo(this.#map.getZoom() + steps, { duration: 250 });
  }

  showAll(): void {
    this.#untouched = true;
    this.#fit(600);
  }

  remove(): void {
    this.#removed = true;
    window.clearTimeout(this.#timer);
    this.#map.remove();
  }

  #fit(duration: number): void {
    this.#map.fitBounds(corners(this.#bounds), { padding: PADDING, duration });
  }

  #idsAt({ x, y }: { x: number; y: number }, ...layers: string[]): string[] {
    // A finger is not as exact as a line is thin.
    const near: [[number, number], [number, number]] = [[x - 4, y - 4], [x + 4, y + 4]];
    return [...new Set(this.#map.queryRenderedFeatures(near, { layers }).map(({ properties }) => String(properties.id)))];
  }

  /** Lays the shading of the terrain under everything; without it the map is paper. */
  #shade(): void {
    const { hillshade } = this.#region;
    if (!hillshade) return;
    const { south, west, north, east } = hillshade.bounds;
    // The service may be behind a path prefix; workers need whole addresses.
    const url = new URL(hillshade.url.replace(/^\//, ''), document.baseURI).href;
    this.#map.addSource('terrain', {
      type: 'image', url, coordinates: [[west, north], [east, north], [east, south], [west, south]],
    });
    this.#map.addLayer(
      { id: 'terrain', type: 'raster', source: 'terrain', paint: { 'raster-opacity': 0.7, 'raster-fade-duration': 0 } },
      ABOVE_TERRAIN,
    );
  }

  /** Resolves when the next data of a source has been drawn, or after a while in any case. */
  #seen(source: SourceName): Promise<void> {
    return new Promise((resolve) => {
      const listening = this.#map.on('sourcedata', (event) => {
        if (event.sourceId === source && event.isSourceLoaded) this.#map.once('render', done);
      });
      const timer = window.setTimeout(done, SEEN_WITHIN_MS);
      function done(): void {
        window.clearTimeout(timer);
        listening.unsubscribe();
        resolve();
      }
    });
  }

  #loaded(): void {
    addSymbols(this.#map);
    this.#ready = true;
    this.#shade();
    this.show('outside', outside(this.#mapped));
    this.show('grid', grid(this.#mapped, GRID_M));
    this.show('land', land(this.#region));
    this.show('ways', ways(this.#region));
    this.show('lanes', lanes(this.#region));
    this.#renew();
  }

  #renew(): void {
    this.#timer = 0;
    for (const [source, data] of this.#waiting) {
      const target = this.#map.getSource(source);
      if (target instanceof GeoJSONSource) void target.setData(data);
    }
    this.#waiting.clear();
  }
}

/** How far one may look: a square, since the map may be wide and the region high. */
function reach({ south, west, north, east }: Bounds): [[number, number], [number, number]] {
  const narrow = Math.cos((((south + north) / 2) * Math.PI) / 180);
  const half = Math.max(north - south, (east - west) * narrow) * (0.5 + MARGIN);
  const [lat, lon] = [(south + north) / 2, (west + east) / 2];
  return [[lon - (1.6 * half) / narrow, lat - half], [lon + (1.6 * half) / narrow, lat + half]];
}
