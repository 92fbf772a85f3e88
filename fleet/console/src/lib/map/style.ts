/** The map's style: paper, ways, zones, sites; routes, trails and vehicles above. No tiles, no server. */

import type { ExpressionSpecification, LayerSpecification, StyleSpecification } from 'maplibre-gl';
import { collection } from './features';

export const FONT = 'Noto Sans JP';
export const SOURCES = [
  'outside', 'grid', 'ways', 'zones', 'sites', 'routes', 'trails', 'vehicles',
] as const;
export type SourceName = (typeof SOURCES)[number];

export const ROUTE_COLOURS = { drone: '#2563a8', robot: '#0b7a5c', proposed: '#7a3ea8' } as const;
const byKind: ExpressionSpecification = [
  'match', ['get', 'kind'], 'robot', ROUTE_COLOURS.robot, ROUTE_COLOURS.drone,
];
const widening = (thin: number, thick: number): ExpressionSpecification => [
  'interpolate', ['exponential', 1.5], ['zoom'], 12, thin, 17, thick,
];
const use = (name: string): ExpressionSpecification => ['==', ['get', 'use'], name];
const round = { 'line-cap': 'round', 'line-join': 'round' } as const;
const halo = { 'text-halo-color': '#fffdf7', 'text-halo-width': 1.6 } as const;
const text = { 'text-font': [FONT], 'text-max-width': 9 };

const ground: LayerSpecification[] = [
  { id: 'paper', type: 'background', paint: { 'background-color': '#f7f3e8' } },
  { id: 'grid', type: 'line', source: 'grid', paint: { 'line-color': '#e6dfcc', 'line-width': 1 } },
  {
    id: 'zone-tint', type: 'fill', source: 'zones',
    paint: { 'fill-color': '#d9480f', 'fill-opacity': 0.08 },
  },
  {
    id: 'way-edge', type: 'line', source: 'ways', layout: round,
    paint: { 'line-color': '#cdbf9f', 'line-width': widening(2.4, 12) },
  },
  {
    id: 'way', type: 'line', source: 'ways', layout: round,
    paint: { 'line-color': '#fffefa', 'line-width': widening(1.2, 9) },
  },
  { id: 'zone-hatch', type: 'fill', source: 'zones', paint: { 'fill-pattern': 'hatch' } },
  {
    id: 'zone-edge', type: 'line', source: 'zones', layout: round,
    paint: { 'line-color': '#b3261e', 'line-width': 1.8 },
  },
];

const movement: LayerSpecification[] = [
  {
    id: 'route-proposed', type: 'line', source: 'routes', filter: use('proposed'), layout: round,
    paint: { 'line-color': ROUTE_COLOURS.proposed, 'line-width': 2.6, 'line-dasharray': [0.6, 2] },
  },
  {
    id: 'route-planned', type: 'line', source: 'routes', filter: use('planned'),
    layout: { 'line-join': 'round' },
    paint: { 'line-color': byKind, 'line-width': 2, 'line-dasharray': [3, 2.5], 'line-opacity': 0.8 },
  },
  {
    id: 'route-current', type: 'line', source: 'routes', filter: use('current'), layout: round,
    paint: { 'line-color': byKind, 'line-width': 3, 'line-opacity': 0.55 },
  },
  {
    id: 'trail', type: 'line', source: 'trails', layout: round,
    paint: { 'line-color': byKind, 'line-width': 4.5, 'line-opacity': 0.95 },
  },
  { id: 'outside', type: 'fill', source: 'outside', paint: { 'fill-color': '#dcd5c4', 'fill-opacity': 0.75 } },
  {
    id: 'outside-edge', type: 'line', source: 'outside',
    paint: { 'line-color': '#b9ae94', 'line-width': 1.2 },
  },
];

const marks: LayerSpecification[] = [
  {
    id: 'zone-name', type: 'symbol', source: 'zones',
    layout: { ...text, 'text-field': ['get', 'name'], 'text-size': 11.5, 'text-padding': 0, 'text-allow-overlap': true },
    paint: { ...halo, 'text-color': '#8f1d16' },
  },
  {
    id: 'site', type: 'symbol', source: 'sites',
    layout: {
      ...text,
      'icon-image': ['case', ['get', 'hub'], 'hub', 'drop_point'],
      'icon-allow-overlap': true,
      'text-field': ['get', 'name'],
      'text-size': ['case', ['get', 'hub'], 14, 12.5],
      'text-variable-anchor': ['top', 'bottom', 'left', 'right'],
      'text-radial-offset': ['case', ['get', 'hub'], 1.15, 0.75],
      'text-padding': 1,
      'text-optional': true,
      'symbol-sort-key': ['case', ['get', 'hub'], 0, 1],
    },
    paint: { ...halo, 'text-color': '#1b2733' },
  },
  {
    id: 'vehicle-selected', type: 'circle', source: 'vehicles', filter: ['get', 'selected'],
    paint: {
      'circle-radius': 27, 'circle-color': '#f5b841', 'circle-opacity': 0.28,
      'circle-stroke-color': '#b45309', 'circle-stroke-width': 2,
    },
  },
  {
    id: 'vehicle', type: 'symbol', source: 'vehicles',
    layout: {
      'icon-image': ['get', 'icon'],
      'icon-size': ['interpolate', ['linear'], ['zoom'], 13, 0.68, 16, 1],
      'icon-rotate': ['get', 'heading'],
      'icon-rotation-alignment': 'map',
      'icon-allow-overlap': true,
    },
  },
  {
    id: 'vehicle-name', type: 'symbol', source: 'vehicles',
    layout: {
      ...text,
      'text-field': ['get', 'label'],
      'text-size': 13,
      'text-variable-anchor': ['left', 'right', 'bottom', 'top'],
      'text-justify': 'auto',
      'text-radial-offset': 1.8,
      'text-allow-overlap': true,
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
    layers: [...ground, ...movement, ...marks],
  };
}
