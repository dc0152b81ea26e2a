import { expect, test } from "vitest";
import { ArrayLimits } from "./array-limits.ts";

test("the lowest elements go first, as many as the limit allows, and the next when one ends", () => {
  const arrays = new ArrayLimits();
  for (const index of [3, 0, 2, 1, 4]) arrays.wait(`e${index}`, "a", index, 2);
  expect(arrays.open()).toEqual(["e0", "e1"]);
  arrays.activate("e0", "a", 0, 2);
  arrays.activate("e1", "a", 1, 2);
  expect(arrays.open()).toEqual([]);
  expect(arrays.standing("e3")).toEqual({ limit: 2, active: 2 });
  arrays.remove("e1");
  expect(arrays.open()).toEqual(["e2"]);
  expect([arrays.isOpen("e2"), arrays.isOpen("e3"), arrays.isOpen("of no array")]).toEqual([true, false, true]);
});

test("an element that waits again goes before later ones, and one that is held lets the next through", () => {
  const arrays = new ArrayLimits();
  arrays.activate("e0", "a", 0, 1);
  for (const index of [1, 2]) arrays.wait(`e${index}`, "a", index, 1);
  arrays.wait("e0", "a", 0, 1);
  expect(arrays.open()).toEqual(["e0"]);
  arrays.remove("e0");
  expect(arrays.open()).toEqual(["e1"]);
  arrays.remove("e1");
  arrays.wait("e1", "a", 1, 1);
  expect(arrays.open()).toEqual(["e1"]);
});

test("every element of a long array gets its turn, in order", () => {
  const arrays = new ArrayLimits();
  const count = 5000;
  for (let index = 0; index < count; index++) arrays.wait(`e${index}`, "a", index, 10);
  const order: string[] = [];
  for (let opened = arrays.open(); opened.length > 0; opened = arrays.open()) {
    for (const id of opened) {
      order.push(id);
      arrays.activate(id, "a", Number(id.slice(1)), 10);
      arrays.remove(id);
    }
  }
  expect(order).toEqual(Array.from({ length: count }, (_, index) => `e${index}`));
});
