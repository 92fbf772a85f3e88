/** The map's style: paper and terrain, land, ways, zones, sites; routes, trails and vehicles above. No tiles. */

import type { ExpressionSpecification, LayerSpecification, StyleSpecification } from 'maplibre-gl';
import { collection } from './features';
import { aircraftLayers, fenceLayers, OVERLAY_SOURCES, pickLayers } from './overlay_style';

export const FONT = 'Noto Sans JP';
export const SOURCES = [
  'outside', 'grid', 'land', 'ways', 'zones', 'lanes', 'obstacles', 'sites', 'routes', 'trails', 'vehicles',
  ...OVERLAY_SOURCES,
] as const;
/** The layer below which the shading of the terrain goes. */
export const ABOVE_TERRAIN = 'forest';
/** From this zoom on there is room for every name; below it hubs and what is on its way have theirs. */
const NAMES_ZOOM = 12.4;
export type SourceName = (typeof SOURCES)[number];

export const ROUTE_COLOURS = { drone: '#2563a8', robot: '#0b7a5c', proposed: '#7a3ea8', home: '#b45309' } as const;
/** What a zone asks of a flight, and how its edge looks; only what is closed is hatched. */
export const ZONE_COLOURS = {
  prohibited: '#b3261e', authorisation: '#a84b07', conditional: '#7a3ea8', none: '#55606b',
} as const;
export const LANE_COLOUR = '#2f7fb5';
const byRestriction: ExpressionSpecification = [
  'match', ['get', 'restriction'],
  'authorisation', ZONE_COLOURS.authorisation, 'conditional', ZONE_COLOURS.conditional, 'none', ZONE_COLOURS.none,
  ZONE_COLOURS.prohibited,
];
const byKind: ExpressionSpecification = [
  'match', ['get', 'kind'], 'robot', ROUTE_COLOURS.robot, ROUTE_COLOURS.drone,
];
const widening = (thin: number, thick: number): ExpressionSpecification => [
  'interpolate', ['exponential', 1.5], ['zoom'], 12, thin, 17, thick,
];
const byZoom = (...stops: [number, number][]): ExpressionSpecification => [
  'interpolate', ['linear'], ['zoom'], ...stops.flat(),
];
const kindIs = (...names: string[]): ExpressionSpecification => ['in', ['get', 'kind'], ['literal', names]];
const shape = (name: 'Point' | 'LineString' | 'Polygon'): ExpressionSpecification => ['==', ['geometry-type'], name];
const use = (name: string): ExpressionSpecification => ['==', ['get', 'use'], name];
const round = { 'line-cap': 'round', 'line-join': 'round' } as const;
const halo = { 'text-halo-color': '#fffdf7', 'text-halo-width': 1.6 } as const;
const text = { 'text-font': [FONT], 'text-max-width': 12 };

const ground: LayerSpecification[] = [
  { id: 'paper', type: 'background', paint: { 'background-color': '#f7f3e8' } },
  {
    id: 'forest', type: 'fill', source: 'land', filter: kindIs('forest'),
    paint: { 'fill-color': '#7fa56b', 'fill-opacity': 0.2 },
  },
  {
    id: 'water', type: 'fill', source: 'land', filter: ['all', kindIs('river', 'water'), shape('Polygon')],
    paint: { 'fill-color': '#9dc6e0' },
  },
  {
    id: 'river', type: 'line', source: 'land', filter: ['all', kindIs('river', 'water'), shape('LineString')],
    layout: round, paint: { 'line-color': '#8dbbd9', 'line-width': widening(2.5, 22) },
  },
  { id: 'grid', type: 'line', source: 'grid', paint: { 'line-color': '#e6dfcc', 'line-width': 1 } },
  {
    id: 'building', type: 'fill', source: 'land', minzoom: 13, filter: kindIs('building'),
    paint: { 'fill-color': '#cbbfa8', 'fill-outline-color': '#b3a68c', 'fill-opacity': byZoom([13, 0.4], [15, 1]) },
  },
  {
    id: 'road', type: 'line', source: 'land', filter: kindIs('road'), layout: round,
    paint: { 'line-color': '#d9b978', 'line-width': widening(2, 12) },
  },
  {
    id: 'zone-tint', type: 'fill', source: 'zones',
    paint: { 'fill-color': byRestriction, 'fill-opacity': 0.08 },
  },
  {
    // Roads, steps and narrow paths: no way for robots.
    id: 'other-way', type: 'line', source: 'ways', filter: ['get', 'other'], layout: round,
    paint: { 'line-color': '#b9ad93', 'line-width': widening(0.7, 4), 'line-opacity': byZoom([10, 0.5], [13, 0.9]) },
  },
  {
    id: 'way-edge', type: 'line', source: 'ways', filter: ['!', ['get', 'other']], layout: round, minzoom: 12.5,
    paint: { 'line-color': '#bfae8a', 'line-width': widening(1.6, 12), 'line-opacity': byZoom([12.5, 0], [13.2, 1]) },
  },
  {
    // From afar one thin line, from near a way with its edges.
    id: 'way', type: 'line', source: 'ways', filter: ['!', ['get', 'other']], layout: round,
    paint: {
      'line-color': ['interpolate', ['linear'], ['zoom'], 12.5, '#a8946a', 13.2, '#fffefa'],
      'line-width': widening(0.8, 9),
      'line-opacity': byZoom([10, 0.45], [12.5, 0.75], [13.2, 1]),
    },
  },
  {
    id: 'zone-hatch', type: 'fill', source: 'zones', filter: ['==', ['get', 'restriction'], 'prohibited'],
    paint: { 'fill-pattern': 'hatch' },
  },
  {
    id: 'zone-edge', type: 'line', source: 'zones', layout: round,
    paint: { 'line-color': byRestriction, 'line-width': 1.8 },
  },
  {
    id: 'lane', type: 'line', source: 'lanes', layout: round,
    paint: { 'line-color': LANE_COLOUR, 'line-width': widening(2.5, 14), 'line-opacity': 0.35 },
  },
];

const obstacles: LayerSpecification[] = [
  {
    id: 'obstacle-line', type: 'line', source: 'obstacles', filter: shape('LineString'), layout: round,
    paint: { 'line-color': '#4a4458', 'line-width': widening(1.1, 2.4), 'line-opacity': 0.8 },
  },
  {
    id: 'pylon', type: 'symbol', source: 'obstacles', filter: shape('Point'), minzoom: 11.5,
    layout: {
      'icon-image': ['case', ['get', 'mast'], 'mast', 'pylon'],
      'icon-size': byZoom([11.5, 0.4], [13, 0.7], [16, 1]), 'icon-allow-overlap': true,
    },
  },
  {
    id: 'obstacle-name', type: 'symbol', source: 'obstacles', filter: shape('LineString'), minzoom: 12.5,
    layout: {
      ...text, 'symbol-placement': 'line', 'text-field': ['get', 'name'], 'text-size': 11, 'text-offset': [0, -0.9],
      'symbol-spacing': 500,
    },
    paint: { ...halo, 'text-color': '#4a4458' },
  },
];

// Others step back when one vehicle is looked at.
const faded = (opacity: number): ExpressionSpecification => ['case', ['get', 'dim'], opacity * 0.3, opacity];

const movement: LayerSpecification[] = [
  {
    id: 'route-proposed', type: 'line', source: 'routes', filter: use('proposed'), layout: round,
    paint: { 'line-color': ROUTE_COLOURS.proposed, 'line-width': 2.6, 'line-dasharray': [0.6, 2], 'line-opacity': faded(1) },
  },
  {
    id: 'route-planned', type: 'line', source: 'routes', filter: use('planned'),
    layout: { 'line-join': 'round' },
    paint: { 'line-color': byKind, 'line-width': 1.6, 'line-dasharray': [3.5, 3], 'line-opacity': faded(0.75) },
  },
  {
    id: 'route-current', type: 'line', source: 'routes', filter: use('current'), layout: round,
    paint: { 'line-color': byKind, 'line-width': 3, 'line-opacity': faded(0.55) },
  },
  {
    id: 'trail', type: 'line', source: 'trails', filter: use('trail'), layout: round,
    paint: { 'line-color': byKind, 'line-width': byZoom([11, 3.2], [15, 4.5]), 'line-opacity': faded(0.95) },
  },
  {
    id: 'way-home', type: 'line', source: 'trails', filter: use('home'), layout: { 'line-join': 'round' },
    paint: { 'line-color': ROUTE_COLOURS.home, 'line-width': 3, 'line-dasharray': [2, 1.4] },
  },
  { id: 'outside', type: 'fill', source: 'outside', paint: { 'fill-color': '#dcd5c4', 'fill-opacity': 0.75 } },
  {
    id: 'outside-edge', type: 'line', source: 'outside',
    paint: { 'line-color': '#b9ae94', 'line-width': 1.2 },
  },
];

const marks: LayerSpecification[] = [
  {
    id: 'zone-name', type: 'symbol', source: 'zones', minzoom: 11,
    layout: { ...text, 'text-field': ['get', 'name'], 'text-size': 11.5, 'text-padding': 0 },
    paint: { ...halo, 'text-color': byRestriction },
  },
  {
    id: 'site', type: 'symbol', source: 'sites', filter: ['!', ['get', 'hub']],
    layout: {
      ...text,
      'icon-image': ['get', 'icon'],
      'icon-size': byZoom([10, 0.5], [12.5, 0.75], [14, 1]),
      'icon-allow-overlap': true,
      'text-field': [
        'step', ['zoom'], ['case', ['any', ['get', 'active'], ['get', 'port']], ['get', 'name'], ''],
        NAMES_ZOOM, ['get', 'name'],
      ],
      'text-size': byZoom([11, 11.5], [14, 12.5]),
      'text-variable-anchor': ['top', 'bottom', 'left', 'right'],
      'text-radial-offset': 0.75,
      'text-padding': 2,
      'text-optional': true,
      // Where somebody waits for a delivery is named first.
      'symbol-sort-key': ['case', ['get', 'active'], 0, ['get', 'port'], 1, 2],
    },
    paint: { ...halo, 'text-color': '#1b2733' },
  },
  {
    id: 'hub', type: 'symbol', source: 'sites', filter: ['get', 'hub'],
    layout: {
      ...text,
      'icon-image': ['get', 'icon'],
      'icon-size': byZoom([10, 0.7], [13, 1]),
      'icon-allow-overlap': true,
      'text-field': ['get', 'name'],
      'text-size': 13.5,
      'text-max-width': 14,
      'text-variable-anchor': ['top', 'bottom', 'left', 'right', 'top-left', 'bottom-right'],
      'text-radial-offset': 1.15,
      'text-allow-overlap': true,
    },
    paint: { ...halo, 'text-halo-width': 2, 'text-color': '#1b2733' },
  },
  {
    id: 'vehicle-alarm', type: 'circle', source: 'vehicles', filter: ['get', 'alarm'],
    paint: {
      'circle-radius': byZoom([11, 15], [15, 26]), 'circle-color': '#c62b22', 'circle-opacity': 0.16,
      'circle-stroke-color': '#c62b22', 'circle-stroke-width': 3,
    },
  },
  {
    id: 'vehicle-selected', type: 'circle', source: 'vehicles', filter: ['get', 'selected'],
    paint: {
      'circle-radius': byZoom([11, 15], [16, 27]), 'circle-color': '#f5b841', 'circle-opacity': 0.28,
      'circle-stroke-color': '#b45309', 'circle-stroke-width': 2,
    },
  },
  {
    id: 'vehicle', type: 'symbol', source: 'vehicles',
    layout: {
      'icon-image': ['get', 'icon'],
      // What stands at home is small, since many stand there.
      'icon-size': [
        'interpolate', ['linear'], ['zoom'],
        11, ['case', ['get', 'parked'], 0.34, 0.6], 14, ['case', ['get', 'parked'], 0.55, 0.8], 16.5, 1,
      ],
      'icon-rotate': ['get', 'heading'],
      'icon-rotation-alignment': 'map',
      'icon-allow-overlap': true,
      'icon-ignore-placement': true,
      'symbol-sort-key': ['get', 'rank'],
      'symbol-z-order': 'auto',
    },
  },
  {
    id: 'vehicle-name', type: 'symbol', source: 'vehicles',
    layout: {
      ...text,
      'text-field': [
        'step', ['zoom'], ['case', ['get', 'parked'], '', ['get', 'name']],
        13, ['case', ['get', 'parked'], '', ['get', 'label']], 15, ['get', 'label'],
      ],
      'text-size': 13,
      'text-variable-anchor': ['left', 'right', 'bottom', 'top', 'bottom-left', 'bottom-right', 'top-left', 'top-right'],
      'text-justify': 'auto',
      'text-radial-offset': byZoom([11, 1.2], [15, 1.7]),
      'text-padding': 1,
      'symbol-sort-key': ['-', 9, ['get', 'rank']],
    },
    paint: { 'text-color': '#101820', 'text-halo-color': '#ffffff', 'text-halo-width': 2.4 },
  },
];

/** A style without `glyphs`: MapLibre then draws letters with the page's own font. */
export function emptyStyle(): StyleSpecification {
  return {
    version: 8,
    sources: Object.fromEntries(
      SOURCES.map((name) => [name, { type: 'geojson', data: collection() }]),
    ),
    layers: [...ground, ...fenceLayers, ...obstacles, ...movement, ...pickLayers, ...marks, ...aircraftLayers],
  };
}
