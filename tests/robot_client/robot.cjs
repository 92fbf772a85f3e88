// A robot made of npm vda-5050-lib: its controller and its virtual adapter. Options come as JSON in the first argument.
const { AgvController, VirtualAgvAdapter } = require("vda-5050-lib");

const options = JSON.parse(process.argv[2]);
const robot = new AgvController(
  { manufacturer: "vda-5050-lib", serialNumber: options.serial },
  {
    interfaceName: "uagv",
    vdaVersion: "2.0.0",
    transport: { brokerUrl: options.broker, heartbeat: 5, reconnectPeriod: 200 },
  },
  { agvAdapterType: VirtualAgvAdapter, publishStateInterval: 1000, publishVisualizationInterval: 200 },
  {
    initialPosition: { mapId: options.map, x: 0, y: 0, theta: 0, lastNodeId: "A" },
    vehicleSpeed: options.speed,
    tickRate: 20,
    agvNormalDeviationXyTolerance: 1.0,
    agvNormalDeviationThetaTolerance: 7,
  },
);

robot.start().then(() => process.stdout.write("started\n"));
process.on("SIGTERM", () => robot.stop().then(() => process.exit(0)));
