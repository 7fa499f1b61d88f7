local backends = require "taskflow.persistence.backends"
local process = require "process"

-- A server of its own; its URL has a password: secret.
local function with_server(f)
  local folder = process.directory()
  process.run { "chmod", "711", folder }
  local started = process.run { "spec/support/postgresql", "start", folder .. "/pg" }
  assert.equal(0, started.code, started.stderr)
  local ok, why = pcall(f, (process.read(folder .. "/pg/url"):gsub("%s", "")))
  process.run { "spec/support/postgresql", "kill9", folder .. "/pg" }
  assert(ok, why)
end

describe("backends", function()
  after_each(process.cleanup)

  it("have a name for messages that has no password in it", function()
    assert.equal("memory", backends.fetch("memory").name)
    with_server(function(url)
      assert.matches("secret", url)
      for _, connection in ipairs { url, url .. "?password=secret&application_name=x" } do
        local backend = backends.fetch(connection)
        assert.equal(connection, backend.connection)
        assert.equal((connection:gsub("secret", "***")), backend.name)
        backend:close()
      end
    end)
  end)

  it("that cannot be opened say why, without a password", function()
    for connection, story in pairs {
      ["postgresql://u:secret@127.0.0.1:1/db"] = "postgresql://127.0.0.1:1/db: cannot connect",
      ["postgresql://u:secret@[::1/db"] = "it is spelled postgresql://user:password@host:port/database",
      ["mysql://u:secret@h/db"] = "no backend for 'mysql://'",
      [""] = "the connection to a logbook is empty",
    } do
      local ok, why = pcall(backends.fetch, connection)
      assert.is_false(ok)
      assert.truthy(tostring(why):find(story, 1, true), tostring(why))
      assert.is_nil(tostring(why):find("secret", 1, true))
    end
  end)
end)
