"""Drawing the cameras of MuJoCo models in software, the same pixels everywhere. Entered by `Renderer`."""
