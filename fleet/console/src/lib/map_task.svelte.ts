/** What somebody is choosing on the map: a site to divert to, or where an aircraft was seen. */

type Task =
  | { kind: 'divert'; vehicleId: string; siteId: string | null }
  | { kind: 'aircraft'; at: { lat: number; lon: number } | null };

class MapTask {
  now = $state<Task | null>(null);

  begin(task: Task): void {
    this.now = task;
  }

  /** Ends it, if it is still this one's. */
  end(kind: Task['kind'], vehicleId?: string): void {
    if (this.now?.kind !== kind) return;
    if (this.now.kind === 'divert' && vehicleId !== undefined && this.now.vehicleId !== vehicleId) return;
    this.now = null;
  }

  /** Takes a click on the map; returns whether it was meant for the task. */
  click(siteIds: string[], at: { lat: number; lon: number }): boolean {
    const task = this.now;
    if (task?.kind === 'aircraft') {
      task.at = at;
      return true;
    }
    if (task?.kind === 'divert' && siteIds[0] !== undefined) {
      task.siteId = siteIds[0];
      return true;
    }
    return false;
  }
}

export const mapTask = new MapTask();
