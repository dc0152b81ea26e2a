/** The order in which people write a spec; the store keeps none. What is not here comes after, as it comes. */
const ORDER = [
  "version",
  "kind",
  "index",
  "name",
  "description",
  "project",
  "queue",
  "labels",
  "priority",
  "preemptible",
  "accelerator",
  "pool",
  "launcher",
  "source",
  "image",
  "nodes",
  "resources",
  "run",
  "workdir",
  "env",
  "secrets",
  "mounts",
];
const placeOf = (key: unknown): number => {
  const at = ORDER.indexOf(String(key));
  return at < 0 ? ORDER.length : at;
};

/**
 * A JSON value as YAML, for people to read and to copy into a file; lists of plain values, such as a command line, stay on
 * one line. The library is loaded only when a spec is looked at.
 */
export async function toYaml(value: unknown): Promise<string> {
  const { Document, isScalar, visit } = await import("yaml");
  const document = new Document(value);
  visit(document, {
    Map(_, map) {
      map.items.sort((a, b) => placeOf(isScalar(a.key) ? a.key.value : a.key) - placeOf(isScalar(b.key) ? b.key.value : b.key));
    },
    Seq(_, list) {
      if (list.items.every((item) => isScalar(item))) list.flow = true;
    },
  });
  return document.toString({ lineWidth: 110, flowCollectionPadding: false });
}
