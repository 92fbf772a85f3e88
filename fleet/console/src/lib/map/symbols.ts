/** The map's pictures, drawn here: no files to load, sharp at twice the size. */

import type { Map as MapLibreMap } from 'maplibre-gl';
import type { Site, VehicleKind } from '../types';
import type { Tone } from '../vehicle';
import { AIRCRAFT_COLOUR } from './overlay_style';

const RATIO = 2;

export const TONE_COLOURS: Record<Tone, string> = {
  calm: '#52606d',
  going: '#1f4e79',
  attention: '#b45309',
  alarm: '#b3261e',
  quiet: '#8b8f94',
};

type Painter = (draw: CanvasRenderingContext2D) => void;

function paint(size: number, painter: Painter): ImageData {
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = size * RATIO;
  const draw = canvas.getContext('2d');
  if (!draw) throw new Error('a 2D canvas is needed for the map symbols');
  draw.scale(RATIO, RATIO);
  painter(draw);
  return draw.getImageData(0, 0, canvas.width, canvas.height);
}

const disc = (draw: CanvasRenderingContext2D, x: number, y: number, radius: number): void => {
  draw.beginPath();
  draw.arc(x, y, radius, 0, 2 * Math.PI);
};

/** A quadcopter from above, nose up. */
function drone(colour: string): Painter {
  return (draw) => {
    const [c, arm, rotor] = [24, 11.5, 7];
    const rotors = [[-1, -1], [1, -1], [1, 1], [-1, 1]].map(([x = 0, y = 0]) => [c + x * arm, c + y * arm] as const);
    const arms = (): void => {
      draw.beginPath();
      draw.moveTo(c - arm, c - arm);
      draw.lineTo(c + arm, c + arm);
      draw.moveTo(c + arm, c - arm);
      draw.lineTo(c - arm, c + arm);
      draw.stroke();
    };
    // A white rim first, so that the symbol stands out from ways and zones alike.
    draw.strokeStyle = draw.fillStyle = '#fff';
    draw.lineWidth = 7.5;
    arms();
    for (const [x, y] of rotors) disc(draw, x, y, rotor + 2), draw.fill();
    draw.strokeStyle = colour;
    draw.lineWidth = 3.5;
    arms();
    for (const [x, y] of rotors) {
      disc(draw, x, y, rotor - 0.8);
      draw.fillStyle = `${colour}30`;
      draw.fill();
      draw.lineWidth = 2.2;
      draw.stroke();
    }
    draw.beginPath();
    draw.moveTo(c, c - 14);
    draw.lineTo(c + 7.5, c + 5.5);
    draw.quadraticCurveTo(c, c + 11, c - 7.5, c + 5.5);
    draw.closePath();
    draw.lineJoin = 'round';
    draw.strokeStyle = '#fff';
    draw.lineWidth = 3;
    draw.stroke();
    draw.fillStyle = colour;
    draw.fill();
  };
}

/** A six-wheeled box from above, front up. */
function robot(colour: string): Painter {
  return (draw) => {
    draw.fillStyle = '#fff';
    draw.beginPath();
    draw.roundRect(9.5, 6.5, 29, 35, 8);
    draw.fill();
    draw.fillStyle = colour;
    for (const y of [11, 20.5, 30]) {
      draw.beginPath();
      draw.roundRect(11, y, 5, 7.5, 2);
      draw.roundRect(32, y, 5, 7.5, 2);
      draw.fill();
    }
    draw.beginPath();
    draw.roundRect(14.5, 9, 19, 30, 5.5);
    draw.fill();
    draw.strokeStyle = '#fff';
    draw.lineWidth = 3;
    draw.lineCap = draw.lineJoin = 'round';
    draw.beginPath();
    draw.moveTo(18.5, 19.5);
    draw.lineTo(24, 14);
    draw.lineTo(29.5, 19.5);
    draw.stroke();
    draw.fillStyle = '#ffffffd0';
    draw.beginPath();
    draw.roundRect(18, 25, 12, 9, 2);
    draw.fill();
  };
}

const hub: Painter = (draw) => {
  draw.fillStyle = '#fff';
  draw.beginPath();
  draw.roundRect(2, 2, 28, 28, 8);
  draw.fill();
  draw.fillStyle = '#1b2733';
  draw.beginPath();
  draw.roundRect(4, 4, 24, 24, 6);
  draw.fill();
  draw.fillStyle = '#fff';
  draw.beginPath();
  draw.moveTo(16, 8);
  draw.lineTo(25, 15.5);
  draw.lineTo(22.5, 15.5);
  draw.lineTo(22.5, 23);
  draw.lineTo(9.5, 23);
  draw.lineTo(9.5, 15.5);
  draw.lineTo(7, 15.5);
  draw.closePath();
  draw.fill();
  draw.fillStyle = '#1b2733';
  draw.fillRect(13.5, 17, 5, 6);
};

/** A ring; its colour says what may deliver there. */
const dropPoint = (colour: string): Painter => (draw) => {
  for (const [radius, fill] of [[8.5, '#fff'], [6.5, colour], [2.8, '#fff']] as const) {
    disc(draw, 16, 16, radius);
    draw.fillStyle = fill;
    draw.fill();
  }
};

/** A square with one letter, as on signs. */
const sign = (letter: string, colour: string): Painter => (draw) => {
  draw.fillStyle = '#fff';
  draw.beginPath();
  draw.roundRect(5, 5, 22, 22, 5);
  draw.fill();
  draw.fillStyle = colour;
  draw.beginPath();
  draw.roundRect(6.5, 6.5, 19, 19, 4);
  draw.fill();
  draw.fillStyle = '#fff';
  draw.font = '700 14px sans-serif';
  draw.textAlign = 'center';
  draw.textBaseline = 'middle';
  draw.fillText(letter, 16, 16.5);
};

const pylon: Painter = (draw) => {
  draw.strokeStyle = '#4a4458';
  draw.lineWidth = 1.6;
  draw.fillStyle = '#fffdf7';
  draw.beginPath();
  draw.rect(4, 4, 8, 8);
  draw.fill();
  draw.stroke();
  draw.beginPath();
  draw.moveTo(4, 4);
  draw.lineTo(12, 12);
  draw.moveTo(12, 4);
  draw.lineTo(4, 12);
  draw.stroke();
};

const mast: Painter = (draw) => {
  draw.strokeStyle = '#fffdf7';
  draw.lineJoin = 'round';
  for (const [colour, width] of [['#fffdf7', 5], ['#4a4458', 2]] as const) {
    draw.strokeStyle = colour;
    draw.lineWidth = width;
    draw.beginPath();
    draw.moveTo(5, 20);
    draw.lineTo(12, 3);
    draw.lineTo(19, 20);
    draw.moveTo(7.5, 14);
    draw.lineTo(16.5, 14);
    draw.stroke();
  }
};

/** An aircraft with people aboard, nose up; `still`: nobody knows where it is heading. */
const manned = (colour: string, still: boolean): Painter => (draw) => {
  draw.lineJoin = draw.lineCap = 'round';
  for (const [stroke, width] of [['#fff', 9], [colour, 4.5]] as const) {
    draw.strokeStyle = stroke;
    draw.lineWidth = width;
    draw.beginPath();
    if (still) draw.arc(20, 20, 12, 0, 2 * Math.PI);
    draw.moveTo(20, still ? 13 : 5);
    draw.lineTo(20, still ? 27 : 35);
    draw.moveTo(still ? 13 : 5, still ? 20 : 21);
    draw.lineTo(20, still ? 20 : 15);
    draw.lineTo(still ? 27 : 35, still ? 20 : 21);
    if (!still) {
      draw.moveTo(14, 34);
      draw.lineTo(20, 31);
      draw.lineTo(26, 34);
    }
    draw.stroke();
  }
};

export const SITE_COLOURS = { both: '#1b2733', drone: '#2563a8', robot: '#0b7a5c' } as const;

/** The picture of a site: what it is for, and at a drop point who may deliver there. */
export function siteIcon({ kind, accepts_drone, accepts_robot }: Site): string {
  if (kind !== 'drop_point') return ['hub', 'drone_port', 'charging', 'emergency'].includes(kind) ? kind : 'drop-both';
  if (accepts_drone === accepts_robot) return 'drop-both';
  return accepts_drone ? 'drop-drone' : 'drop-robot';
}

/** Diagonal red lines that join up when the picture is repeated. */
const hatch: Painter = (draw) => {
  draw.strokeStyle = '#b3261e';
  draw.globalAlpha = 0.5;
  draw.lineWidth = 1.6;
  for (const x of [-12, 0, 12]) {
    draw.beginPath();
    draw.moveTo(x - 2, 14);
    draw.lineTo(x + 14, -2);
    draw.stroke();
  }
};

const VEHICLES: Record<VehicleKind, (colour: string) => Painter> = { drone, robot };

export const vehicleIcon = (kind: VehicleKind, tone: Tone): string => `${kind}-${tone}`;

/** Gives the map every picture that its layers name. */
export function addSymbols(map: MapLibreMap): void {
  const add = (name: string, size: number, painter: Painter): void => {
    if (!map.hasImage(name)) map.addImage(name, paint(size, painter), { pixelRatio: RATIO });
  };
  for (const kind of ['drone', 'robot'] as const) {
    for (const tone of Object.keys(TONE_COLOURS) as Tone[]) {
      add(vehicleIcon(kind, tone), 48, VEHICLES[kind](TONE_COLOURS[tone]));
    }
  }
  add('hub', 32, hub);
  for (const [who, colour] of Object.entries(SITE_COLOURS)) add(`drop-${who}`, 32, dropPoint(colour));
  add('drone_port', 32, sign('H', '#1b2733'));
  add('charging', 32, sign('⚡', '#14663f'));
  add('emergency', 32, sign('!', '#a84b07'));
  add('pylon', 16, pylon);
  add('mast', 24, mast);
  add('hatch', 12, hatch);
  add('manned', 40, manned(AIRCRAFT_COLOUR, false));
  add('manned-still', 40, manned(AIRCRAFT_COLOUR, true));
}
