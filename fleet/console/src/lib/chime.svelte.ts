/** A short tone for an urgent alarm. A browser plays it only once somebody has touched the page. */

const STORAGE_KEY = 'todoke-muted';
const TONES_HZ = [880, 1175];
const TONE_S = 0.16;
const LOUDNESS = 0.15;

class Chime {
  muted = $state(remembered());
  #context: AudioContext | null = null;

  toggle(): void {
    this.muted = !this.muted;
    try {
      localStorage.setItem(STORAGE_KEY, this.muted ? 'yes' : 'no');
    } catch {
      // Not remembered, then.
    }
    if (!this.muted) this.sound();
  }

  sound(): void {
    if (this.muted) return;
    try {
      this.#context ??= new AudioContext();
      const context = this.#context;
      void context.resume();
      TONES_HZ.forEach((hz, turn) => play(context, hz, context.currentTime + turn * TONE_S));
    } catch {
      // A machine without sound still shows the alarm.
    }
  }
}

function play(context: AudioContext, hz: number, at: number): void {
  const [tone, loudness] = [context.createOscillator(), context.createGain()];
  tone.frequency.value = hz;
  loudness.gain.setValueAtTime(LOUDNESS, at);
  loudness.gain.exponentialRampToValueAtTime(0.001, at + TONE_S);
  tone.connect(loudness).connect(context.destination);
  tone.start(at);
  tone.stop(at + TONE_S);
}

function remembered(): boolean {
  try {
    return localStorage.getItem(STORAGE_KEY) === 'yes';
  } catch {
    return false;
  }
}

export const chime = new Chime();
