// All pages, each of which starts where its own elements are: one file for all of them
// packs far better than several, and is in the browser's cache from the first page on.

import "./main.js";
import "./device.js";
import "./fleet.js";
import "./group.js";
import "./groups.js";
import "./link_check.js";
