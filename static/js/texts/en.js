// Every text of the waiting page, in English.
// The text after `export default` is JSON, because the server reads this file too. A name in braces
// is replaced by a value. Another language is another file with the same keys.
export default {
  "language": "en",
  "unknown": "not known yet",
  "skip": "Skip to your place",
  "footer": "Keep this page open, or come back with the same browser: your place is kept. To take part in a draw, be here when the line opens.",
  "count": { "about": "about {count}", "none": "nobody" },
  "wait": {
    "underMinute": "less than a minute",
    "under": "less than {high}",
    "about": "about {low}",
    "minutes": "about {low} to {high} minutes",
    "range": "about {low} to {high}",
    "oneMinute": "1 minute",
    "manyMinutes": "{n} minutes",
    "hours": "{h} h",
    "hoursMinutes": "{h} h {m} min"
  },
  "span": {
    "days": "{d} days {h} h",
    "hours": "{h} h {m} min",
    "minutes": "{m} min {s} s",
    "seconds": "{s} s"
  },
  "figure": {
    "ahead": "Ahead of you",
    "wait": "Estimated wait",
    "inLine": "In the line",
    "queueNumber": "Your number",
    "opensIn": "Opens in",
    "progress": "Way to the front"
  },
  "outside": {
    "idle": { "headline": "Come right in", "lede": "There is no line at the moment." },
    "prequeue": {
      "headline": "The line is gathering",
      "lede": "Join before the opening and be here for it, and you take part in the draw. How early you come makes no difference."
    },
    "queueing": {
      "headline": "Join the line",
      "lede": "You get a place, see how far it is, and are let in when it is your turn."
    },
    "paused": {
      "headline": "The line is paused",
      "lede": "You can join and keep a place. Nobody is being let in right now."
    },
    "closed": { "headline": "This line is closed", "lede": "It takes nobody any more." },
    "soldOut": { "headline": "Sold out", "lede": "Nothing is left to buy, so this line takes nobody any more." },
    "unavailable": {
      "headline": "One moment, please",
      "lede": "The line does not answer. If you have a place, it is safe. This page keeps trying by itself."
    }
  },
  "state": {
    "prequeue": {
      "headline": "You are in for the draw",
      "lede": "At opening, everyone who is here gets a place by lot. Reloading or coming earlier changes nothing."
    },
    "waiting": { "headline": "You are in line", "lede": "Your place is yours. We let you in the moment it is your turn." },
    "next": { "headline": "You are next", "lede": "Nobody is ahead of you. Stay close." },
    "paused": { "headline": "The line is paused", "lede": "Nobody is being let in right now. You keep your place." },
    "closed": { "headline": "The line has closed", "lede": "Nobody is let in any more." },
    "called": { "headline": "It is your turn", "lede": "Come in before the time runs out. The way in is kept for you until then." },
    "admitted": { "headline": "You are in", "lede": "Your pass is ready. You can go on." },
    "missed": {
      "headline": "Your turn came while you were away",
      "lede": "You have not lost it. Come back to the line, and you are called again as one of the next."
    },
    "left": { "headline": "You have left the line", "lede": "Your place was given up. You can join again at the end." },
    "ended": { "headline": "Your visit is over", "lede": "To go in again, join the line again." },
    "soldOut": { "headline": "Sold out", "lede": "Nothing is left to buy. We would rather tell you now than let you wait." }
  },
  "stock": {
    "low": "Few tickets are left.",
    "lowCount": "About {count} tickets are left.",
    "gone": "All tickets are being bought or sold. Some may come back.",
    "likely": "Tickets will probably last until your turn.",
    "uncertain": "It is uncertain whether tickets last until your turn.",
    "unlikely": "It is unlikely that tickets last until your turn."
  },
  "join": {
    "button": "Join the line",
    "draw": "Take part in the draw",
    "again": "Join again",
    "back": "Come back to the line",
    "through": "Go in",
    "tryAgain": "Try again",
    "code": "Access code",
    "nonceNote": "Your browser runs no script here, so the server has made the random number that your part in the draw rests on. With scripts on, your own browser makes it.",
    "joining": "Getting you a place …",
    "broken": "This page could not join for you in this browser. Please press the button."
  },
  "refused": {
    "forbidden": "This line asks for an access code. Please check the one you typed.",
    "address": "The line does not take visitors at this address of the site. Please come by its usual address.",
    "cookies": "Your browser keeps no cookies for this site, and your place is one. Please allow cookies, then load this page again.",
    "challenge-required": "This line checks visitors first, in a way this page does not know.",
    "room-closed": "The line has closed and takes nobody any more.",
    "room-not-found": "There is no such line.",
    "rate-limited": "Many are joining from your network. We try again by ourselves.",
    "line-unavailable": "The line does not answer at the moment. We keep trying.",
    "place-expired": "Your place has expired because you were away for long.",
    "other": "You could not join. Please try again."
  },
  "turn": {
    "enter": "Enter now",
    "left": "{span} left to come in",
    "auto": "You go in by yourself in {s} s.",
    "stay": "Wait, I go in myself",
    "stayed": "You are not taken in by yourself. Press “Enter now” in time."
  },
  "link": {
    "live": "Live",
    "polling": "Asked every {s} s",
    "connecting": "Connecting …",
    "stale": "Last numbers from {span} ago, reconnecting",
    "unavailable": "The line does not answer. Your place is safe, we keep trying.",
    "offline": "You are offline. Your place is kept, we go on when you are back."
  },
  "leave": {
    "button": "Leave the line",
    "sure": "Give up your place? It cannot be had back.",
    "yes": "Yes, leave",
    "failed": "The line did not answer. You still have your place. Please try again."
  },
  "alerts": {
    "button": "Tell me when it is my turn",
    "on": "We will tell you with a sound and a notice. Keep this page open.",
    "title": "It is your turn"
  },
  "draw": {
    "summary": "How the draw works, and how to check it",
    "explain": "Before anyone could join, a secret number was fixed and its fingerprint published below. Your browser added a random number of its own. Both together decide your place, so neither you nor we can choose it. After opening, the secret number is published and you can check it.",
    "commitment": "Fingerprint",
    "check": "Check my draw",
    "document": "The draw as data",
    "checking": "Checking …",
    "matches": "It is right. The fingerprint fits the secret number, and both numbers give your order number {key}.",
    "differs": "It does not match. Please save this page and tell the organiser.",
    "commitmentDiffers": "The secret number does not fit the fingerprint. Please save this page and tell the organiser.",
    "sealed": "The secret number is published at opening. You can check then.",
    "noNonce": "This browser does not know your random number, so it cannot check. The browser that joined can.",
    "notDrawn": "You joined after opening, so your place did not come from the draw. The fingerprint fits the secret number.",
    "failed": "The draw could not be fetched. Please try again."
  },
  "banner": {
    "waiting": "You are in line. Ahead of you: {ahead}. Estimated wait: {wait}.",
    "look": "See your place"
  },
  "announce": "{headline}. Ahead of you: {ahead}. Estimated wait: {wait}.",
  "wayOut": "To the start page",
  "progress": "{percent} percent of the way",
  "documentTitle": "{headline} · {title}"
};
