import type { FastifyInstance } from "fastify";
import { parseDocument } from "yaml";
import { Problem } from "../problems/problem.ts";

/** What bodies of job specs may be, as the document tells it. */
export const BODY_TYPES = ["application/json", "application/yaml"];
const YAML_TYPES = ["application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"];
/** Nodes that aliases may add up to, against documents that unfold without end. */
const MOST_ALIASES = 100;

/** JSON and YAML bodies. An action without a body may still carry a JSON content type. */
export function installBodyParsers(app: FastifyInstance): void {
  app.removeAllContentTypeParsers();
  const json = app.getDefaultJsonParser("error", "error");
  app.addContentTypeParser("application/json", { parseAs: "string" }, (request, body, done) => {
    if (body === "") done(null, undefined);
    else void json(request, body as string, done);
  });
  app.addContentTypeParser(YAML_TYPES, { parseAs: "string" }, (_request, body, done) => {
    try {
      done(null, parseYaml(body as string));
    } catch (error) {
      done(error as Error);
    }
  });
}

function parseYaml(text: string): unknown {
  const document = parseDocument(text, { prettyErrors: true, uniqueKeys: true });
  const error = document.errors[0];
  if (error) throw new Problem("malformed_body", `The YAML can't be read: ${error.message.split("\n")[0]}`);
  try {
    const value: unknown = document.toJS({ maxAliasCount: MOST_ALIASES });
    // what aliases repeat is one object in memory, and many where it is kept
    if (Buffer.byteLength(JSON.stringify(value) ?? "") > 4 * text.length + 65_536) throw new Error("its aliases unfold too far");
    return value;
  } catch (error) {
    throw new Problem("malformed_body", `The YAML can't be read: ${error instanceof Error ? error.message : "no details"}`);
  }
}
