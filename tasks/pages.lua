-- Tasks of the flow fan_out: a text in pages, and how many words they have.
local task = require "taskflow.task"
local values = require "taskflow.values"

local M = {}

M.Cut = task.Task {
  execute = function(_self, text, words_a_page)
    local pages, page = values.list {}, {}
    for word in text:gmatch "%S+" do
      page[#page + 1] = word
      if #page == words_a_page then
        pages[#pages + 1], page = table.concat(page, " "), {}
      end
    end
    if page[1] then
      pages[#pages + 1] = table.concat(page, " ")
    end
    return pages
  end,
}

M.Count = task.Task {
  execute = function(_self, page)
    return select(2, page:gsub("%S+", ""))
  end,
}

M.Sum = task.Task {
  execute = function(_self, counts)
    local sum = 0
    for _, count in ipairs(counts) do
      sum = sum + count
    end
    return sum
  end,
}

return M
