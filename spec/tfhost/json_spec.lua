local json = require "tfhost.json"

describe("tfhost.json", function()
  it("shows letters instead of their escapes, and nothing else", function()
    for text, shown in pairs {
      ['"\\u00e9\\u65e5x"'] = '"é日x"',
      ['"\\ud83d\\ude00"'] = '"😀"',
      ['"\\\\u00e9 \\n1\\u00e9"'] = '"\\\\u00e9 \\n1é"',
      ['"\\u0009 \\u007f \\u009b"'] = '"\\u0009 \\u007f \\u009b"',
      ['"\\ud83d" "\\ude00" "\\ud83dx"'] = '"\\ud83d" "\\ude00" "\\ud83dx"',
      ["[1, {}]"] = "[1, {}]",
    } do
      assert.equal(shown, json.readable(text))
    end
  end)

  it("says in one line what failed", function()
    local encoded = '{"exc_type_names": ["ValueError", "Exception"], "exception_str": "too small"}'
    assert.equal("ValueError: too small", json.failure(encoded))
    assert.equal("failure: nil", json.failure "{}")
    assert.is_nil(json.failure(nil))
    assert.is_nil(json.failure "null")
  end)
end)
