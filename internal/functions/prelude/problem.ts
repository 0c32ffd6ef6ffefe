// Errors that a function means for its caller.

export interface ProblemInit {
  code?: string;
  details?: string;
  hint?: string;
  status?: number;
  cause?: unknown;
}

/** PandoError is what the client throws, and what a function may throw: its caller gets it as it stands. */
export class PandoError extends Error {
  code: string;
  details: string;
  hint: string;
  status: number;

  constructor(message: string, init: ProblemInit = {}) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code ?? "";
    this.details = init.details ?? "";
    this.hint = init.hint ?? "";
    this.status = init.status ?? 0;
  }

  get name(): string {
    return "PandoError";
  }
}

/** HTTPError chooses the status that the caller gets. */
export class HTTPError extends PandoError {
  constructor(status: number, message: string, init: ProblemInit = {}) {
    super(message, { ...init, status });
  }

  get name(): string {
    return "HTTPError";
  }
}
