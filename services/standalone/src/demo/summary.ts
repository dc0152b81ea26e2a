import { stripVTControlCharacters } from "node:util";
import type { AttemptView, JobView } from "@muster/model";
import Table from "cli-table3";

const WIDTH = 40;

/** One line for a job's life between two times: waiting, starting, running, and where an attempt broke. */
export function drawTimeline(job: JobView, attempts: readonly AttemptView[], begin: number, end: number): string {
  const cells = Array.from({ length: WIDTH }, () => " ");
  const column = (time: number): number => Math.min(WIDTH - 1, Math.max(0, Math.floor(((time - begin) / Math.max(1, end - begin)) * WIDTH)));
  const fill = (from: string | null, to: string | null, mark: string): void => {
    if (from === null) return;
    for (let i = column(Date.parse(from)); i <= column(to === null ? end : Date.parse(to)); i++) cells[i] = mark;
  };
  fill(job.submitted_at, job.finished_at, "░");
  const ordered = [...attempts].sort((a, b) => a.number - b.number);
  for (const attempt of ordered) {
    fill(attempt.scheduled_at, attempt.ended_at, "▒");
    fill(attempt.first_progress_at ?? attempt.started_at, attempt.ended_at, "█");
  }
  for (const attempt of ordered) if (attempt.outcome === "failed" && attempt.ended_at !== null) cells[column(Date.parse(attempt.ended_at))] = "✗";
  return cells.join("");
}

export function renderTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const table = new Table({ head: [...head], style: { head: [], border: [], compact: true } });
  for (const row of rows) table.push([...row]);
  return process.stdout.isTTY ? table.toString() : stripVTControlCharacters(table.toString());
}
