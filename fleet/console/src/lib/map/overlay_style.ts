/** How a flight's fence, manned aircraft and what is being chosen look. */

import type { ExpressionSpecification, LayerSpecification } from 'maplibre-gl';

export const OVERLAY_SOURCES = ['fence', 'aircraft', 'picks'] as const;
export const FENCE_COLOUR = '#14663f';
export const AIRCRAFT_COLOUR = '#8f1160';
const PICK_COLOUR = '#b45309';
const use = (name: string): ExpressionSpecification => ['==', ['get', 'use'], name];

/** Above zones, below vehicles. */
export const fenceLayers: LayerSpecification[] = [
  {
    id: 'fence-inside', type: 'fill', source: 'fence', filter: use('inside'),
    paint: { 'fill-color': FENCE_COLOUR, 'fill-opacity': 0.1 },
  },
  {
    id: 'fence-outside', type: 'fill', source: 'fence', filter: use('outside'),
    paint: { 'fill-color': '#b3261e', 'fill-opacity': 0.16 },
  },
  {
    id: 'fence-edge', type: 'line', source: 'fence', filter: ['!=', ['geometry-type'], 'Point'],
    paint: {
      'line-color': ['match', ['get', 'use'], 'outside', '#b3261e', FENCE_COLOUR], 'line-width': 2, 'line-dasharray': [3, 2],
    },
  },
  {
    id: 'rally', type: 'circle', source: 'fence', filter: use('rally'),
    paint: {
      'circle-radius': 9, 'circle-color': 'rgba(20, 102, 63, 0.15)', 'circle-stroke-color': FENCE_COLOUR,
      'circle-stroke-width': 2.5,
    },
  },
];

export const pickLayers: LayerSpecification[] = [
  {
    id: 'pick-way', type: 'line', source: 'picks', filter: use('way'),
    paint: { 'line-color': PICK_COLOUR, 'line-width': 3, 'line-dasharray': [1.5, 1.2] },
  },
  {
    id: 'pick', type: 'circle', source: 'picks', filter: use('pick'),
    paint: {
      'circle-radius': ['case', ['get', 'chosen'], 17, 13],
      'circle-color': ['case', ['get', 'chosen'], 'rgba(245, 184, 65, 0.45)', 'rgba(245, 184, 65, 0.12)'],
      'circle-stroke-color': PICK_COLOUR, 'circle-stroke-width': ['case', ['get', 'chosen'], 3.5, 2],
    },
  },
];

/** Above everything: whoever flies there has people aboard. */
export const aircraftLayers: LayerSpecification[] = [
  {
    id: 'aircraft-around', type: 'fill', source: 'aircraft', filter: use('around'),
    paint: { 'fill-color': AIRCRAFT_COLOUR, 'fill-opacity': 0.1, 'fill-outline-color': AIRCRAFT_COLOUR },
  },
  {
    id: 'aircraft-ahead', type: 'line', source: 'aircraft', filter: use('ahead'),
    paint: { 'line-color': AIRCRAFT_COLOUR, 'line-width': 2, 'line-dasharray': [2, 1.5] },
  },
  {
    id: 'aircraft', type: 'symbol', source: 'aircraft', filter: use('aircraft'),
    layout: {
      'icon-image': ['get', 'icon'], 'icon-rotate': ['get', 'heading'], 'icon-rotation-alignment': 'map',
      'icon-allow-overlap': true, 'icon-ignore-placement': true,
      'text-font': ['Noto Sans JP'], 'text-field': ['get', 'label'], 'text-size': 12.5,
      'text-variable-anchor': ['left', 'right', 'bottom', 'top'], 'text-radial-offset': 1.5, 'text-justify': 'auto',
      'text-allow-overlap': true,
    },
    paint: { 'text-color': AIRCRAFT_COLOUR, 'text-halo-color': '#ffffff', 'text-halo-width': 2.2 },
  },
];
