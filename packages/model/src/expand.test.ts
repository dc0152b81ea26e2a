import { assert as forAll, property, stringMatching } from "fast-check";
import { describe, expect, it } from "vitest";
import { expand, expandEnv, expandKnown, literal, referenceErrors } from "./expand.ts";

describe("expand", () => {
  it.each([
    ["${MUSTER_DIR}/x", "/d/x"],
    ["$${MUSTER_DIR}", "${MUSTER_DIR}"],
    ["$$$${MUSTER_DIR}", "$${MUSTER_DIR}"],
    ["$$${MUSTER_DIR}", "$/d"],
    ["$MUSTER_DIR $HOME ${HOME} ${} $", "$MUSTER_DIR $HOME ${HOME} ${} $"],
    ["${MUSTER_DIR}${MUSTER_DIR}", "/d/d"],
    ["${constructor}", "${constructor}"],
  ])("%s becomes %s", (text, expected) => expect(expand(text, { MUSTER_DIR: "/d" })).toBe(expected));

  it("does not read inserted values again", () => {
    expect(expand("${A}", { A: "${B} $$", B: "no" })).toBe("${B} $$");
  });

  it("gives literal text back unchanged, whatever it holds", () => {
    forAll(
      property(stringMatching(/^[${}A-C]*$/), (text) => {
        expect(expand(literal(text), { A: "1", B: "2" })).toBe(text);
      }),
    );
  });

  it("in two steps is the same as in one, however the variables are split", () => {
    const text = stringMatching(/^[${}A-C]*$/);
    forAll(
      property(text, text, text, (template, a, b) => {
        const both = expand(template, { A: a, B: b });
        expect(expand(expandKnown(template, { A: literal(a) }), { B: b })).toBe(both);
      }),
    );
  });
});

describe("expandEnv", () => {
  it("resolves names of env in any order, and leaves the engine's variables to the engine", () => {
    const env = expandEnv({ B: "${A}/b", A: "${MUSTER_DIR}/${MUSTER_JOB_ID}$$" }, { MUSTER_JOB_ID: "job_1" });
    expect(env).toEqual({ A: "${MUSTER_DIR}/job_1$$", B: "${MUSTER_DIR}/job_1$$/b" });
    expect(expand(env["B"] as string, { MUSTER_DIR: "/d" })).toBe("/d/job_1$/b");
  });

  it("leaves a circle as text", () => {
    const env = expandEnv({ PATH: "/x:${PATH}", A: "${B}", B: "${A}" }, {});
    expect(Object.values(env).map((value) => expand(value, {}))).toEqual(["/x:${PATH}", "${A}", "${A}"]);
  });
});

describe("referenceErrors", () => {
  it("names what does not exist and what leads back to itself", () => {
    expect(
      referenceErrors(["x", "${MUSTER_CHECKPIONT_DIR}", "${HOME}", "$${MUSTER_NO}"], { A: "${B}", B: "${A}", C: "${A}", PATH: "/x:${PATH}" }).map(
        (e) => e.path,
      ),
    ).toEqual(["run[1]", "env.A", "env.B", "env.PATH"]);
    expect(referenceErrors(["${MUSTER_DIR}", "${MUSTER_MINE}"], { MUSTER_MINE: "1" })).toEqual([]);
  });
});
