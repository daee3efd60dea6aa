// webpack without any option but for what and where.
import webpack from "webpack";

const output = { path: `${import.meta.dirname}/webpack`, filename: "small.js" };
webpack({ mode: "production", entry: "./small.js", output }, (error, stats) => {
  if (!error && !stats.hasErrors()) return;
  console.error(error ?? stats.toString("errors-only"));
  process.exitCode = 1;
});
