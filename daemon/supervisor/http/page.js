"use strict";
fetch("/history").then((answer) => answer.text()).then((text) => { document.getElementById("text").textContent = text; });
