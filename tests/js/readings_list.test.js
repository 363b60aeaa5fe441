import assert from "node:assert/strict";
import test from "node:test";
import { csvOf, fileName, listOf, listOfBand, rangeText } from "../../telemetry/static/telemetry/js/readings_list.js";

const LINES = [{ id: 1, slug: "boiler", device: "Boiler" }, { id: 2, slug: "pump", device: "=cmd, \"x\"" }];
const SPEC = { name: "temp", title: "Temperature", unit: "°C", lines: LINES };

test("readings are listed by time, then by line, within the range only", () => {
  const found = { width_ms: null, series: { 1: { times: [10, 30], values: [1, 2] }, 2: { times: [10, 99], values: [5, 6] } } };
  assert.deepEqual(listOf(found, LINES, [0, 50]), {
    hasLines: true, columns: ["value"], rows: [[10, 0, 1], [10, 1, 5], [30, 0, 2]],
  });
});

test("summaries are listed with mean, extremes and count; a bucket that reaches in belongs", () => {
  const one = { starts: [0, 100], mean: [1, 2], min: [0, 1], max: [2, 3], count: [4, 5] };
  const list = listOf({ width_ms: 100, series: { 1: one } }, LINES, [50, 200]);
  assert.deepEqual(list.columns, ["mean", "lowest", "highest", "readings"]);
  assert.deepEqual(list.rows, [[0, 0, 1, 0, 2, 4], [100, 0, 2, 1, 3, 5]]);
});

test("a band is listed without its gaps", () => {
  const columns = [[1, 2, 3], [9, null, 8], [1, null, 2], [5, null, 6]];
  assert.deepEqual(listOfBand(columns, [0, 2_999]).rows, [[1_000, 1, 5, 9]]);
});

test("a file has UTC times, and a name in it is never a formula", () => {
  const list = { hasLines: true, columns: ["value"], rows: [[0, 0, 1.5], [1, 1, null]] };
  assert.equal(csvOf(list, SPEC), [
    "time,device,name,metric,unit,value",
    "1970-01-01T00:00:00.000Z,boiler,Boiler,temp,°C,1.5",
    "1970-01-01T00:00:00.001Z,pump,\"'=cmd, \"\"x\"\"\",temp,°C,",
    "",
  ].join("\r\n"));
  const band = { hasLines: false, columns: ["lowest", "median", "highest"], rows: [[0, 1, 2, 3]] };
  assert.equal(csvOf(band, SPEC).split("\r\n")[1], "1970-01-01T00:00:00.000Z,temp,°C,1,2,3");
});

test("by device a row names its device and its metric", () => {
  const spec = { title: "Boiler", unit: "°C", lines: [{ id: 1, slug: "boiler", device: "Temperature", owner: "Boiler", metric: "temp" }] };
  const list = { hasLines: true, columns: ["value"], rows: [[0, 0, 1]] };
  assert.equal(csvOf(list, spec).split("\r\n")[1], "1970-01-01T00:00:00.000Z,boiler,Boiler,temp,°C,1");
});

test("a file's name has letters and digits only", () => {
  assert.equal(fileName(["Plant/Ä", "../temp"], [0, 1_000], "csv"), "Plant-Ä-temp-19700101T000000-19700101T000001.csv");
  assert.equal(fileName(["…"], [0, 0], "png"), "chart-19700101T000000-19700101T000000.png");
});

test("a range in words names the day once", () => {
  assert.equal(rangeText([0, 60_000], "UTC"), "1970-01-01 00:00:00 – 00:01:00");
  assert.equal(rangeText([0, 86_400_000], "UTC"), "1970-01-01 00:00:00 – 1970-01-02 00:00:00");
});
