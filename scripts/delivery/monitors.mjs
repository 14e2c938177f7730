// Holds the ServiceMonitors in a file of JSON lines against the schema of the Prometheus operator.
// Runs from the directory in which the schema's package is installed.
//
//     monitors.mjs FILE
import { readFileSync } from "node:fs";
import { ServiceMonitor } from "@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/ServiceMonitor";

const lines = readFileSync(process.argv[2], "utf8").split("\n").filter(Boolean);
for (const line of lines) {
  new ServiceMonitor(JSON.parse(line)).validate();
}
if (lines.length === 0) throw new Error("there is no ServiceMonitor");
console.log(`${lines.length} renderings of the ServiceMonitor fit the operator's schema`);
