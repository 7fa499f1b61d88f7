-- One task over a list that another task makes: the pages of a text, each counted by an item of the map `count`, and
-- their sum. How many pages there are is known only when the text has been cut.
local lf = require "taskflow.patterns.linear_flow"
local pages = require "tasks.pages"
local task = require "taskflow.task"

local TEXT = "It was the best of times, it was the worst of times, "
  .. "it was the age of wisdom, it was the age of foolishness"

return function(store)
  local flow = lf.Flow("fan-out"):add(
    pages.Cut { name = "cut", provides = "pages" },
    task.Map { task = pages.Count, name = "count", over = "pages", as = "page", limit = 4, provides = "counts" },
    pages.Sum { name = "sum", provides = "words" }
  )
  return flow, { store = { text = store.text or TEXT, words_a_page = store.words_a_page or 6 } }
end
