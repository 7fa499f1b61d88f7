-- Boots a virtual machine, slowly, in nested flows. Interrupt it, and run it again with the tracking id that it
-- printed: it goes on.
--
--   tfhost lua flows/examples/resume_vm_boot.lua sqlite:////tmp/boot.db [TRACKING-ID]
local example = require "example"
local gf = require "taskflow.patterns.graph_flow"
local lf = require "taskflow.patterns.linear_flow"
local task = require "taskflow.task"

-- Nobody is there to interrupt it when nothing is kept.
local function slow_down(seconds)
  if arg[1] then
    example.slow_down(seconds)
  end
end

local function print_text(name, text)
  return task.FunctorTask(function()
    example.heading(text)
  end, { name = "Print: " .. name })
end

local DefineVMSpec = task.Task {
  default_provides = "vm_spec",
  execute = function(_self)
    return { type = "kvm", disks = 2, vcpu = 1, ips = 1, volumes = 3 }
  end,
}

local LocateImages = task.Task {
  default_provides = "image_locations",
  execute = function(_self, vm_spec)
    local locations = {}
    for i = 0, vm_spec.disks - 1 do
      locations["http://www.yahoo.com/images/" .. i] = ("/tmp/%d.img"):format(i)
    end
    return locations
  end,
}

local DownloadImages = task.Task {
  default_provides = "download_paths",
  execute = function(_self, image_locations)
    local sources, paths = {}, {}
    for source in pairs(image_locations) do
      sources[#sources + 1] = source
    end
    table.sort(sources)
    for i, source in ipairs(sources) do
      paths[i] = image_locations[source]
      print(("Downloading from %s => %s"):format(source, paths[i]))
      slow_down(1)
    end
    return paths
  end,
}

local AllocateIP = task.Task {
  default_provides = "ips",
  execute = function(_self, vm_spec)
    local ips = {}
    for i = 1, vm_spec.ips do
      ips[i] = "192.168.0." .. math.random(1, 254)
    end
    return ips
  end,
}

local CreateNetworkTpl = task.Task {
  default_provides = "network_settings",
  execute = function(_self, ips)
    local settings = {}
    for i, ip in ipairs(ips) do
      settings[i] = ("DEVICE=eth%d\nBOOTPROTO=static\nIPADDR=%s\nONBOOT=yes"):format(i - 1, ip)
    end
    return settings
  end,
}

local WriteNetworkSettings = task.Task {
  execute = function(_self, download_paths, network_settings)
    for j, path in ipairs(download_paths) do
      print(("Mounting %s to /tmp/%d"):format(path, j - 1))
      slow_down(1)
      for i, setting in ipairs(network_settings) do
        print(("Writing to /tmp/etc/sysconfig/network-scripts/ifcfg-eth%d"):format(i - 1))
        print(setting)
        slow_down(1)
      end
    end
  end,
}

local AllocateVolumes = task.Task {
  default_provides = "volumes",
  execute = function(_self, vm_spec)
    local volumes = {}
    for i = 1, vm_spec.volumes do
      volumes[i] = "/dev/vda" .. i
      print("Allocated volume " .. volumes[i])
      slow_down(1)
    end
    return volumes
  end,
}

local FormatVolumes = task.Task {
  execute = function(_self, volumes)
    for _, volume in ipairs(volumes) do
      print("Formatting volume " .. volume)
      slow_down(1)
      print("Formatted volume " .. volume)
    end
  end,
}

local BootVM = task.Task {
  execute = function(_self, vm_spec)
    print "Starting vm!"
    print("Created: " .. example.dict(vm_spec, { "type", "disks", "vcpu", "ips", "volumes" }))
    slow_down(1)
  end,
}

local function create_flow()
  return lf.Flow("root"):add(
    print_text("start", "Starting vm creation."),
    lf.Flow("vm-maker"):add(
      DefineVMSpec { name = "define_spec" },
      gf.Flow("img-maker"):add(LocateImages { name = "locate_images" }, DownloadImages { name = "download_images" }),
      gf.Flow("net-maker"):add(
        AllocateIP { name = "get_my_ips" },
        CreateNetworkTpl { name = "fetch_net_settings" },
        WriteNetworkSettings { name = "write_net_settings" }
      ),
      gf.Flow("volume-maker"):add(
        AllocateVolumes { name = "allocate_my_volumes" },
        FormatVolumes { name = "volume_formatter" }
      ),
      BootVM { name = "boot-it" }
    ),
    print_text("end", "Finished vm create."),
    print_text("running", "Instance is running!")
  )
end

example.heading "Initializing"
local engine = example.tracked(create_flow, { engine = "parallel" }, arg[1], arg[2])
example.heading "Running"
engine:run()
