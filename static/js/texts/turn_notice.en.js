// Texts of what is offered to a fan who wants to be told of the turn, in English.
export default {
  "push": "We will tell you on this device, also when this page is closed.",
  "mail": "With this page closed we can tell you by mail.",
  "email": "E-mail address",
  "button": "Tell me by mail",
  "done": "A mail will come when it is your turn.",
  "failed": "That did not work. Look at the address, and try again."
};
