// Every text of the seat map, in English. JSON after `export default`, as in en.js.
export default {
  "language": "en",
  "seat": "{section}, row {row}, seat {number}, {category}, {price}",
  "row": "{section}, row {row}",
  "label": "{section}, row {row}, seat {number}",
  "accessible": "step-free",
  "AVAILABLE": "free",
  "HELD": "being bought",
  "BOOKED": "sold",
  "BLOCKED": "not for sale",
  "stage": "Stage",
  "chosen": "chosen",
  "limit": "You can have at most {limit} tickets.",
  "taken": "{seats}: was just taken by someone else and is off your list.",
  "remove": "Remove {seat}",
  "live": "The map is live.",
  "stale": "The map is not live at the moment. Seats may be gone.",
  "failed": "The map could not be loaded. You can still choose below.",
  "chosenNote": "{seat} added, {count} chosen, {total}.",
  "removedNote": "{seat} removed, {count} chosen, {total}."
};
