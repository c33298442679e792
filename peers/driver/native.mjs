// Native contestants: each is a program that takes a step for every line that it reads, and answers with a line of JSON.

import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A program with a contestant. */
export class NativeContestant {
  static async open(command, length) {
    const [program, ...args] = command(length);
    const contestant = new NativeContestant(spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] }));
    contestant.about = await contestant.answer();
    return contestant;
  }

  constructor(child) {
    this.child = child;
    this.words = '';
    child.stderr.on('data', (data) => (this.words = (this.words + data).slice(-4000)));
    // Writing to a program that has ended is told by its end.
    child.stdin.on('error', () => {});
    this.lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    this.ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message));
      child.once('close', (code, signal) => resolve(signal ? `it was ended by ${signal}` : `it ended with ${code}`));
    });
  }

  step() {
    this.child.stdin.write('step\n');
    return this.answer();
  }

  async answer() {
    const { value, done } = await this.lines.next();
    if (done) throw new Error([await this.ended, panic(this.words)].filter(Boolean).join(': '));
    const answer = JSON.parse(value);
    if (answer.error) throw new Error(answer.error);
    return answer;
  }

  async close() {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

/** What a Rust program said when it panicked: the line behind the one that says where. */
function panic(words) {
  const lines = words.split('\n').map((line) => line.trim());
  const at = lines.findIndex((line) => line.includes('panicked at'));
  return lines[at + 1] ?? '';
}
