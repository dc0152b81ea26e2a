/**
 * A JSON value as YAML, for people to read and to copy into a file; lists of plain values, such as a command line, stay on
 * one line. The library is loaded only when a spec is looked at.
 */
export async function toYaml(value: unknown): Promise<string> {
  const { Document, isScalar, visit } = await import("yaml");
  const document = new Document(value);
  visit(document, {
    Seq(_, list) {
      if (list.items.every((item) => isScalar(item))) list.flow = true;
    },
  });
  return document.toString({ lineWidth: 110, flowCollectionPadding: false });
}
