/**
 * The rotation of cluster.test.ts in clusters of sizes that are in use.
 */
import { rotationTests } from '../support/cluster.ts';

rotationTests(50, 450, '400ms');
rotationTests(1000, 600, '500ms', 'traffic');
