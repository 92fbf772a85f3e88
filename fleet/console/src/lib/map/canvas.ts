/** The one place that touches MapLibre: makes the map and feeds its sources. */

import { GeoJSONSource, Map as MapLibreMap, ScaleControl, setWorkerUrl } from 'maplibre-gl';
import workerUrl from 'maplibre-gl/dist/maplibre-gl-worker.mjs?worker&url';
import type { FeatureCollection } from 'geojson';
import 'maplibre-gl/dist/maplibre-gl.css';
import { nameOf, t } from '../i18n.svelte';
import type { Region } from '../types';
import { grid, outside, sites, ways, widened, zones } from './features';
import { emptyStyle, FONT, type SourceName } from './style';
import { addSymbols } from './symbols';

setWorkerUrl(workerUrl);

const GRID_M = 500;
/** The picture is renewed no more often than snapshots come, whatever changes: drawing costs battery. */
const RENEW_MS = 200;
const MARGIN = 0.6;

/** A map of one region in `container`; `onVehicle` is called with the vehicle that is clicked. */
export class RegionCanvas {
  readonly #map: MapLibreMap;
  #region: Region;
  #ready = false;
  #removed = false;
  #waiting = new Map<SourceName, FeatureCollection>();
  #timer = 0;

  /** Throws when the device has no WebGL 2. */
  constructor(container: HTMLElement, region: Region, onVehicle: (vehicleId: string | null) => void) {
    this.#region = widened(region);
    const { south, west, north, east } = this.#region.bounds;
    const [dLat, dLon] = [(north - south) * MARGIN, (east - west) * MARGIN];
    this.#map = new MapLibreMap({
      container,
      style: emptyStyle(),
      bounds: [[west, south], [east, north]],
      fitBoundsOptions: { padding: 24 },
      maxBounds: [[west - dLon, south - dLat], [east + dLon, north + dLat]],
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
    this.#map.on('click', (event) => {
      const [hit] = this.#map.queryRenderedFeatures(event.point, { layers: ['vehicle', 'vehicle-name'] });
      const vehicleId: unknown = hit?.properties.id;
      onVehicle(typeof vehicleId === 'string' ? vehicleId : null);
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
    if (this.#ready && this.#timer === 0) this.#timer = window.setTimeout(() => this.#renew(), RENEW_MS);
  }

  /** Names sites and zones in the language chosen. */
  async label(): Promise<void> {
    const { sites: places, zones: areas } = this.#region;
    const names = [...places, ...areas].map(nameOf).join('');
    try {
      // Glyphs are drawn once and kept: the slices of the font that hold them must be there before.
      await document.fonts.load(`400 24px "${FONT}"`, names);
    } catch {
      // The browser's own font then draws them.
    }
    this.show('sites', sites(this.#region));
    this.show('zones', zones(this.#region));
  }

  flyTo(lon: number, lat: number): void {
    this.#map.easeTo({ center: [lon, lat], zoom: Math.max(this.#map.getZoom(), 15), duration: 600 });
  }

  zoom(steps: 1 | -1): void {
    this.#map.zoomTo(this.#map.getZoom() + steps, { duration: 250 });
  }

  showAll(): void {
    const { south, west, north, east } = this.#region.bounds;
    this.#map.fitBounds([[west, south], [east, north]], { padding: 24, duration: 600 });
  }

  remove(): void {
    this.#removed = true;
    window.clearTimeout(this.#timer);
    this.#map.remove();
  }

  #loaded(): void {
    addSymbols(this.#map);
    this.#ready = true;
    this.show('outside', outside(this.#region));
    this.show('grid', grid(this.#region, GRID_M));
    this.show('ways', ways(this.#region));
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
